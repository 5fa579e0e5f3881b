"""Volumes to encoders to embeddings."""

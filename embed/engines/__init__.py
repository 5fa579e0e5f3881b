"""Where the pieces of a long job run. Knows nothing of volumes and embeddings."""

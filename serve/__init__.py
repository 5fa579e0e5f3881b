"""Atlases to indexes to a service."""

"""Probes as people teach them: versions, places to label next, and what a server says of them."""

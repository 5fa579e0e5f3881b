"""Places to embed, from tables, annotations, skeletons and segmentations."""

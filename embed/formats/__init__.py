"""What stores say of themselves: sources, metadata, axes, voxel sizes, levels."""

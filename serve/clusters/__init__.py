"""The map of an atlas and its clusters: laid out, named, shown, and extended to new places."""

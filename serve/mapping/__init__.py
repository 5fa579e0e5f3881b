"""What a probe says of a whole atlas: its map, in several formats, and what is counted from it."""

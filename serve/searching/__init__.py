"""How a search goes from examples to hits that lie apart."""

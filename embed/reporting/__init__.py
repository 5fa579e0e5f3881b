"""What a training run tells its user: figures, sheets of neighbours, a page, a word of alarm."""

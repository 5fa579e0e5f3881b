"""Training: what is cut and changed, what is compared, what is kept; `embed.train` is the loop."""

"""Who may call, how much, and what is kept of a call."""

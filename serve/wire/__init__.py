"""How requests and answers are read and written: messages, JSON, statuses."""

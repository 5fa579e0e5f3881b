"""What people say of places: class sets, labels, their history, and their way in and out."""

"""How an index is made: advised, trained, filled, measured, extended."""

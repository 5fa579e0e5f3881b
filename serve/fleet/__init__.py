"""An index in slabs, past one machine: built in parts, and served by a Ray cluster."""

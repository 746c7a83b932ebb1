"""The planning problem and its solution, as arrays."""

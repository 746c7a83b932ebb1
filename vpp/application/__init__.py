"""Use cases that need several others: requests, control loops, supervision, and the facade of all."""

"""Leased commands: what is wanted, in force and under way, and the outcome of each."""

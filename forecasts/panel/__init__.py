"""Panels: many series on one time grid, each value with the instant from which it is known."""

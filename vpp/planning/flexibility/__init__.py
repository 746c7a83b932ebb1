"""Flexibility of the fleet: how far every group of rows can be moved over a window, with what certainty."""

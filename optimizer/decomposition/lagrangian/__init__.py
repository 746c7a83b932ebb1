"""Augmented Lagrangian: prices, their slopes, the sweep of all devices, and repair."""

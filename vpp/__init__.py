"""The virtual power plant: one service that measures, plans, dispatches, verifies."""

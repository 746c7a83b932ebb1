"""Allocation of a request to devices: tracking control, merit order, rebound and staged release."""

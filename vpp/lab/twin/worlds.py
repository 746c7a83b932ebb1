"""The two worlds that are stepped as one: with the service's commands, and without."""

WORLDS = 2
"""Length of the first axis of every array that holds both."""

ACTUAL, COUNTERFACTUAL = 0, 1
"""Positions on that axis."""

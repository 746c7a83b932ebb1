"""Simulated charging stations, and load generators."""

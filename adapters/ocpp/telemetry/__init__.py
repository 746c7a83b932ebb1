"""Meter values and status notifications of stations."""

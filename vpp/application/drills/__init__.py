"""Drills that the service makes of its own fleet, and what they have shown."""

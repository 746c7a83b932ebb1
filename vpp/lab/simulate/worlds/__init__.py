"""Worlds of a simulation beside the actual one: the ordinary one's plans, and where the prepared one rejoins."""

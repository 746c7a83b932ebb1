"""Drill of a running service from the command line, over its HTTP API."""

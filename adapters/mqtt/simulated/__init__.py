"""Simulated site gateways, and a real broker as a child process."""

"""Simulated charging stations, and the named alternative of the benchmark."""

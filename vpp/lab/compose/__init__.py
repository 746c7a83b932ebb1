"""Composition of the laboratory: the simulated fleet and load processes over real sockets."""

"""Compilation of kernels and sums by code, shared by the pure mathematics and the service."""

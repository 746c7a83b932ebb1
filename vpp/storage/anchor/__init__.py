"""Anchor of the journal outside the data directory: key, signed heads, and verification against them."""

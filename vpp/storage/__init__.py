"""Durable memory: SQL schema, journal and metered intervals."""

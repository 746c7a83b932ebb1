"""Durable memory: journal, registry, recorded frames and metered intervals in SQL, and the telemetry store."""

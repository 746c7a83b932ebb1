"""Formats of the record: entries and their hash chain, columns as bytes."""

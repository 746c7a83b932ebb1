"""Dispatch requests: their book, phases, revisions and journal form."""

"""Requests from quote to commitment: acts of dispatchers, quotes, revisions, signals, declared capability."""

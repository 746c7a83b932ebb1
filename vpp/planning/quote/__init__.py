"""Quotes and capability: what can be delivered over a hold, with its chances, limits and rebound."""

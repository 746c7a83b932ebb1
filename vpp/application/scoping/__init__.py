"""Scopes of callers applied to the service: members, requests, events and samples in sight."""

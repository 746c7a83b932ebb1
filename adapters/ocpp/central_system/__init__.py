"""The central system: stations, their sessions and their instructions."""

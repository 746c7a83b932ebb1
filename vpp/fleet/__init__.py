"""The fleet: members and their rows, nameplates, the feeder tree, and the calendar of its city."""

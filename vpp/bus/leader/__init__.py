"""The leader's end of the bus."""

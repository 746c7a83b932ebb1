"""How long a test waits for what must come, on however slow a machine."""

PATIENCE_WALL_S = 900.0
"""Ends what hangs. What takes a second on a quiet machine took half a minute on a busy one with slow cores."""

"""How long a test waits, on however slow a machine."""

PATIENCE_WALL_S = 1800.0
"""For what must come. Ends what hangs: a slow, busy machine takes minutes for what a quiet one does in seconds."""
CLEAN_END_WALL_S = 120.0
"""For the end of a process that was asked to end: it waits for nobody, so a long one is a fault."""

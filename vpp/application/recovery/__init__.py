"""Recovery of a service: the journal folded into the state a restart needs, checkpoints of it, and their upkeep."""

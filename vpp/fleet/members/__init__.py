"""Members of the fleet over time: as bodies, changed and retired, and their owners before."""

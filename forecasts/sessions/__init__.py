"""Sessions of single connectors: who is plugged in, for how long, and who will be."""

"""The 96-step schedule: translation to the optimizer, fallback ladder and re-dispatch."""

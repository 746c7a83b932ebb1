"""The exact price decomposition of the fleet: every device answers prices, the prices prove how good the answer is."""

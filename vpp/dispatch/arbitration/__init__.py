"""Arbitration of proposals: one merged value a device, inside its range and under every transformer cap."""

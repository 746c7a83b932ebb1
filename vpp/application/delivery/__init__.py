"""Proof of delivery: participation, baselines, measurement, settlement."""

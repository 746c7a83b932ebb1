"""Erasure in the stores: names out of hashed entries, samples out of frames, intervals and the telemetry store."""

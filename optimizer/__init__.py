"""Pure mathematics of the plan: arrays in, arrays out; no device id, no clock, no network."""

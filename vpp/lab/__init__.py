"""The laboratory: simulated world, simulated days, benchmarks and the demo. The product never imports it."""

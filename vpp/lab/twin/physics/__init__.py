"""Physics of simulated devices and weather."""

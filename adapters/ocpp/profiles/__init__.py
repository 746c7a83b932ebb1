"""Charging profiles: nameplates, units and the forms a setpoint can take."""

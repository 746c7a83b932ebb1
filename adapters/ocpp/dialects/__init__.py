"""OCPP 1.6 and 2.x: what actions mean and how setpoints are written."""

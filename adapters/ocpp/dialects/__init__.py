"""Dialects, OCPP 1.6 and 2.x: meaning of a station's actions and wording of instructions."""

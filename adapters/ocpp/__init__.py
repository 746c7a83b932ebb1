"""OCPP 1.6J, 2.0.1 and 2.1 over WebSocket: the central system and simulated charging stations."""

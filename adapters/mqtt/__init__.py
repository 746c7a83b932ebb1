"""MQTT site gateways: our subscriber and simulated sites."""

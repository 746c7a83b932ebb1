"""Supervision: alarms, metrics, troubles of devices and of the service itself."""

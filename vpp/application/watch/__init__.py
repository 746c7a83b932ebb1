"""Supervision: alarms, troubles of devices and of the service itself."""

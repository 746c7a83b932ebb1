"""The central system: OCPP's ``DeviceLink``, its sessions and the delivery of instructions."""

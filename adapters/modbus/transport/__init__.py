"""Modbus TCP transport: connection, registers, reads and writes."""

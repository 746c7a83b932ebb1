"""WebSocket (RFC 6455) on the kit's sockets, both ends."""

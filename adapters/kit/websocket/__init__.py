"""WebSocket (RFC 6455) on the kit's poller, both ends: server, acceptor, connection, client connector."""

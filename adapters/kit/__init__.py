"""A kit for protocols whose devices dial in by the hundred thousand: sockets, timers, admission and batching.

One process serves tens of thousands of devices in one thread, at some microseconds a message. How the parts fit::

     device ── TCP/TLS ──▶ Listener ─▶ Acceptor ──▶ Host          the protocol: its devices, its endpoints
                              │           │ path, password,  ▲    connected(connection, device, subprotocol)
                              │           │ certificate,     │
                              │           ▼ rate             │
                              │        Admission             ▼
     device ◀── frames ─── WebSocketConnection ◀──▶ WebSocketEndpoint ─▶ Batcher ─▶ LinkSink   the service
                              ▲                        ▲        message_received     telemetry, outcomes,
                              │ ready                  │ due                         sessions, in batches
                           Poller                   TimingWheel
                           one epoll                one timer

    websocket.server.WebSocketServer   owns all of it but the protocol; start it with a ``Host``
    websocket.acceptor                 upgrade, authentication, admission: ``EntryRules`` in, connections out
    websocket.connection               frames of one connection; backlog, fragments, close (RFC 6455)
    websocket.host                     base of a protocol's ``Host``: what all protocols answer alike
    websocket.endpoint                 base of a protocol's end of a connection; hostile input costs that one alone
    websocket.client_connect           the device side: dials, for simulators
    poller.Poller                      serves ready sockets in turns; ``before_rest`` is the time to flush batches
    timing_wheel.TimingWheel           deadlines by the million: ``schedule(timed, at)`` calls ``timed.due(now)``
    admission                          token bucket, rush detection, growing Retry-After
    batching.Batcher                   samples and outcomes in columns, one delivery for some 20 ms
    refused_devices.RefusedDevices     who was not let in, for the service and the log
    backoff.Backoff                    waits between failures, for protocols that dial out
    compact_map                        small immutable maps, for what is kept of every device
    json_depth                         bound on nesting before anything is parsed
    tls_memory                         heap given back after a rush of TLS handshakes

A protocol implements ``vpp.ports.DeviceLink`` with three objects of its own: a link, which is the ``Host`` as well; an
endpoint for each connection; and its messages. ``tests/unit/adapters/kit/toy_protocol.py`` is one in under 200 lines,
``adapters/ocpp`` the large one. Protocols whose service dials its devices (MQTT, Modbus) take batching and back-off.

Times ending in ``_wall_s`` are the network's own seconds and ``now`` is the event loop's time; ``_s`` is the service's
clock, which may run faster. The kit knows no protocol: ``pyproject.toml`` has the contract.
"""

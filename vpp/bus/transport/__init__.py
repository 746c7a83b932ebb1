"""Transport of messages: NATS or in process, with subjects and the scope of a fleet."""

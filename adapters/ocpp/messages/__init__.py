"""OCPP-J messages: vocabulary, envelopes, schemas, healing and calls."""

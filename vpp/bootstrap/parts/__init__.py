"""Parts of the service, composed by concern: core, device plane, requests, watch, facade, restoration."""

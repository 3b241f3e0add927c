"""The services over HTTP: one module a service, and what they share."""

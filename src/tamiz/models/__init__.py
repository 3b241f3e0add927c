"""The models that answer: one protocol, adapters behind it."""

"""Contracts between the services: the event, the stream entry, Redis keys, settings, errors, metrics, the schema."""

"""Clients of a Redis Cluster that are used as those of one server are."""

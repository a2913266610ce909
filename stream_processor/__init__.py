"""Redis Streams in, PostgreSQL out."""

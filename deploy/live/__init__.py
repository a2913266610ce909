"""What `weir top` and `weir tail` see: read from Redis and PostgreSQL, and shown on a terminal."""

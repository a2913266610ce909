"""The proof that nothing is lost and nothing twice: Redis and PostgreSQL are read, and pure functions compare."""

"""PostgreSQL (read-only) and stream state in; HTTP out."""

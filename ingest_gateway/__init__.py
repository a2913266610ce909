"""HTTP in, Redis Streams out."""

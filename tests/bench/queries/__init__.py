"""What answers cost: `python -m tests.bench.queries` stores a history and asks about it. See `--help`."""

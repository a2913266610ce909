"""What operators do with failed events; `deploy/cli/failed.py` is its command line."""

"""The system as it runs: one collector a process, and those who watch it. For users: deploy/docs/live.md."""

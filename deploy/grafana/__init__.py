"""Grafana's dashboards: described in ``boards.py``, written as JSON by `python -m deploy.grafana`."""

"""Partitions and retention by an operator's hand: `weir partitions` and `weir retention`."""

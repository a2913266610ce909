"""Faults, injected for real while producers post; and an oracle that says whether every promise held."""

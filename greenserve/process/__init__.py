"""Processes: what a worker does from its start to its end."""

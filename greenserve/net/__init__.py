"""Sockets: addresses, listeners, connected streams, TLS, and log files that never block the hub."""

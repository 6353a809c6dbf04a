"""The server: listeners accept, connections are parked or served, deadlines are kept."""

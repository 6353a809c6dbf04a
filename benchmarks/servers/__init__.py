"""Programs that start the peers without a command of their own, and the loop that all are compared with."""

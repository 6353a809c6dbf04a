"""Client programs for what wrk and h2load cannot do; the standard library is all they need."""

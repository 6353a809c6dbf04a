"""HTTP/1 as pure functions over bytes: no socket, no clock, no gevent (RFC 9110, RFC 9112)."""

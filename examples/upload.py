"""An upload of any size, read in blocks: memory does not grow with it.

    greenserve examples/upload.py

    curl --data-binary @FILE http://127.0.0.1:8000/                  with a Content-Length
    cat FILE | curl -T - http://127.0.0.1:8000/                      chunked, length unknown

The loop is the same for both: `wsgi.input` ends where the content ends (`wsgi.input_terminated`).
"""

from __future__ import annotations

import hashlib
import json

BLOCK_SIZE = 64 * 1024


def application(environ, start_response):
    if environ["REQUEST_METHOD"] not in ("POST", "PUT"):
        # Nothing is read here; what the client sends all the same is for the server to drain.
        start_response("405 Method Not Allowed", [("Allow", "POST, PUT")])
        return []
    size, digest = 0, hashlib.sha256()
    while block := environ["wsgi.input"].read(BLOCK_SIZE):
        size += len(block)
        digest.update(block)
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps({"size": size, "sha256": digest.hexdigest()}).encode() + b"\n"]

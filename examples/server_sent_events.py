"""Server-sent events: a page that shows a counter, and the stream behind it.

    greenserve examples/server_sent_events.py

A stream is one greenlet that mostly sleeps, so thousands of them may be open.  The command has patched
`time.sleep`: other requests are answered meanwhile.  When a browser leaves, its generator is closed.
"""

from __future__ import annotations

import json
import time

INTERVAL = 0.5  # seconds between two events
PAGE = b"""<!doctype html>
<title>Server-sent events</title>
<p id="event">waiting</p>
<script>
  new EventSource("/events").onmessage = event => {
    document.getElementById("event").textContent = event.data;
  };
</script>
"""

streams = 0  # how many are open


def application(environ, start_response):
    if environ["PATH_INFO"] == "/events":
        fields = [("Content-Type", "text/event-stream"), ("Cache-Control", "no-store")]
        start_response("200 OK", fields)
        return events()
    start_response("200 OK", [("Content-Type", "text/html; charset=utf-8")])
    return [PAGE]


def events():
    """Yield an event now and one every half second, for as long as the client stays."""
    global streams
    streams += 1
    number = 0
    try:
        while True:
            number += 1
            yield f"id: {number}\ndata: {json.dumps({'number': number, 'streams': streams})}\n\n".encode()
            time.sleep(INTERVAL)
    finally:
        streams -= 1

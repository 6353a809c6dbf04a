"""The server inside a gevent program that has work of its own, and that stops it at its end.

    python examples/embedded.py

Nothing is patched here: the program uses gevent's own calls.  A greenlet counts while requests are
answered; SIGTERM or Ctrl-C ends the program, which lets the requests in flight finish first.
Set GREENSERVE_BIND to HOST:PORT to listen elsewhere.
"""

from __future__ import annotations

import os
import signal
import sys

import gevent
from gevent.event import Event

from greenserve import WSGIServer


class Counter:
    """The program's own work: a number that grows while the server serves."""

    def __init__(self):
        self.number = 0

    def run(self):
        while True:
            self.number += 1
            gevent.sleep(0.05)

    def application(self, environ, start_response):
        """Answer with the number as it is now."""
        start_response("200 OK", [("Content-Type", "text/plain; charset=utf-8")])
        return [b"%d\n" % self.number]


def main():
    """Serve until a signal comes, then stop the server and the greenlet."""
    finish = Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        gevent.signal_handler(number, finish.set)

    counter = Counter()
    work = gevent.spawn(counter.run)
    listener = os.environ.get("GREENSERVE_BIND", "127.0.0.1:8000")
    server = WSGIServer(listener, counter.application, log=None)
    server.start()
    print(f"http://{server.server_host}:{server.server_port}", file=sys.stderr)
    finish.wait()
    server.stop(timeout=10)
    work.kill()
    print(f"stopped after {counter.number} steps", file=sys.stderr)


if __name__ == "__main__":
    main()

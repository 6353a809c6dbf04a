"""The server as a library call, the way gevent.pywsgi is used: one import line differs.

    python examples/library_call.py

Set GREENSERVE_BIND to HOST:PORT to listen elsewhere.  A listener may also be a tuple, such as
('', 8000) for every address of this machine, or a bound socket.
"""

from __future__ import annotations

from gevent import monkey

monkey.patch_all()  # first, so that what is imported below waits without blocking the others

import os  # noqa: E402 -- behind the patch
import sys  # noqa: E402

from greenserve import WSGIServer  # noqa: E402


def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain; charset=utf-8")])
    return [f"{environ['REQUEST_METHOD']} {environ['PATH_INFO']}\n".encode()]


if __name__ == "__main__":
    server = WSGIServer(os.environ.get("GREENSERVE_BIND", "127.0.0.1:8000"), application)
    server.start()  # serve_forever() would do it; started here, the port is known beforehand
    print(f"http://{server.server_host}:{server.server_port}", file=sys.stderr)
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        server.stop()

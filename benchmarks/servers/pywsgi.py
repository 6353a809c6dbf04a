"""gevent.pywsgi, as shipped or with TCP_NODELAY on every connection."""

from __future__ import annotations

from gevent import monkey

monkey.patch_all()

import socket  # noqa: E402 -- behind the patch
from typing import Any  # noqa: E402

from gevent.pywsgi import WSGIServer  # noqa: E402

from benchmarks.servers import arguments  # noqa: E402


class Undelayed(WSGIServer):  # type: ignore[misc]
    """Sends what it has at once: as shipped, Nagle's algorithm waits for the client's delayed ACK."""

    def do_read(self) -> Any:
        accepted = super().do_read()
        if accepted:
            accepted[0].setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return accepted


def main() -> None:
    given = arguments.parse()
    tls = {"certfile": given.certfile, "keyfile": given.keyfile} if given.certfile else {}
    kind = Undelayed if given.nodelay else WSGIServer
    log = open(given.access_log, "w", buffering=1) if given.access_log else None  # noqa: SIM115
    application = arguments.load(given.application)
    address = (arguments.HOST, given.port)
    kind(address, application, backlog=arguments.BACKLOG, log=log, **tls).serve_forever()


if __name__ == "__main__":
    main()

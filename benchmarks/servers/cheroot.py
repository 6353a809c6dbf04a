"""cheroot, its limits raised so that it does not turn away what a workload brings."""

from __future__ import annotations

from cheroot.ssl.builtin import BuiltinSSLAdapter
from cheroot.wsgi import Server

from benchmarks.servers import arguments


def main() -> None:
    given = arguments.parse()
    server = Server(
        (arguments.HOST, given.port),
        arguments.load(given.application),
        request_queue_size=arguments.BACKLOG,
        timeout=75,  # an idle connection would be closed while the others are opened
    )
    server.keep_alive_conn_limit = arguments.MOST_CONNECTIONS
    if given.certfile:
        server.ssl_adapter = BuiltinSSLAdapter(given.certfile, given.keyfile)
    server.start()


if __name__ == "__main__":
    main()

"""Neither starting nor SERVER_NAME asks DNS, which may be slow, wrong or out of reach at that time."""

from __future__ import annotations

import socket
from pathlib import Path
from textwrap import dedent

import pytest
import requests

from tests.process import start_script

SECONDS = 30  # how long one answer may take before a test gives up on it

#: What looks a name or an address up ends the process; what only reads the digits of an address is not asked.
POISON = """
    import _socket, ipaddress, os, socket, traceback

    def refuse(*arguments, **options):
        traceback.print_stack()
        print("DNS was asked about", arguments, flush=True)
        os._exit(1)

    numeric = _socket.getaddrinfo

    def getaddrinfo(host, *arguments, **options):
        try:
            ipaddress.ip_address(host)
        except ValueError:
            refuse(host)
        return numeric(host, *arguments, **options)

    for module in (_socket, socket):
        module.getaddrinfo = getaddrinfo
        for name in ("gethostbyaddr", "gethostbyname", "gethostbyname_ex", "getnameinfo"):
            setattr(module, name, refuse)
    socket.getfqdn = refuse

    def application(environ, start_response):
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [environ["SERVER_NAME"].encode()]
"""

LIBRARY = """
    import sys
    import gevent
    from greenserve import WSGIServer

    server = WSGIServer((sys.argv[1], 0), application)
    server.start()
    print(f"listening on port {server.server_port}", flush=True)
    server.serve_forever()
"""

COMMAND = """
    import sys
    sys.modules["poisoned"] = sys.modules["__main__"]
    from greenserve.cli import main
    sys.exit(main(["poisoned:application", "--bind", f"{sys.argv[1]}:0"]))
"""


@pytest.fixture
def script(tmp_path: Path) -> Path:
    return tmp_path / "poisoned_start.py"


@pytest.mark.parametrize(
    ("program", "ready"),
    [(LIBRARY, r"port (\d+)"), (COMMAND, r"listening on \S+:(\d+),")],
    ids=["library", "command"],
)
@pytest.mark.parametrize("host", ["", "0.0.0.0", "127.0.0.1"])
def test_a_server_starts_and_has_a_name_without_dns(
    script: Path, program: str, ready: str, host: str
) -> None:
    script.write_text(dedent(POISON) + dedent(program))
    with start_script(script, host, ready=ready) as server:
        for _ in range(2):
            answer = requests.get(server.url(), headers={"Connection": "close"}, timeout=SECONDS)
            assert answer.status_code == 200
            assert answer.text == (host if host == "127.0.0.1" else socket.gethostname())


def test_asking_dns_would_be_noticed(script: Path) -> None:
    script.write_text(dedent(POISON) + "socket.getfqdn('0.0.0.0')\n")
    with start_script(script, ready=None) as process:
        assert process.wait() == 1
    assert process.output == ["DNS was asked about ('0.0.0.0',)"]

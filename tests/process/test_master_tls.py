"""TLS, IPv6, several addresses and Unix sockets below a master."""

from __future__ import annotations

import http.client
import re
import signal
import socket
import ssl
from pathlib import Path
from textwrap import dedent

import pytest

from tests.certificates import Authority, Certificate
from tests.process.masters import (
    SECONDS,
    Master,
    children_of,
    read_answer,
    start_master,
    wait_until,
)
from tests.process.test_master_upgrade import upgraded


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def first(authority: Authority) -> Certificate:
    return authority.issue("first")


@pytest.fixture(scope="module")
def second(authority: Authority) -> Certificate:
    return authority.issue("second")


def subject(authority: Authority, port: int) -> str:
    """Return whose certificate is shown by who answers a request."""
    context = ssl.create_default_context(cafile=authority.certfile)
    connection = http.client.HTTPSConnection("127.0.0.1", port, timeout=SECONDS, context=context)
    connection.connect()
    try:
        shown = connection.sock.getpeercert()
        connection.request("GET", "/")
        assert read_answer(connection)[0] == "one"
    finally:
        connection.close()
    return dict(pair for pairs in shown["subject"] for pair in pairs)["commonName"]


def test_workers_serve_https_and_a_reload_takes_a_renewed_certificate(folder, authority, first, second):
    certfile, keyfile = folder / "site.pem", folder / "site.key"

    def install(certificate: Certificate) -> None:
        certfile.write_bytes(Path(certificate.certfile).read_bytes())
        keyfile.write_bytes(Path(certificate.keyfile).read_bytes())

    install(first)
    with start_master(folder, "--certfile", str(certfile), "--keyfile", str(keyfile)) as master:
        old = set(master.wait_ready(2))
        assert subject(authority, master.port) == "first"
        assert "_ssl" not in Path(f"/proc/{master.pid}/maps").read_text()
        install(second)
        assert subject(authority, master.port) == "first"
        master.send_signal(signal.SIGHUP)
        wait_until(lambda: master.workers.isdisjoint(old) and len(master.workers) == 2, "the new workers")
        assert subject(authority, master.port) == "second"
        keyfile.write_text("no key")  # the next one is broken: the workers stay
        master.send_signal(signal.SIGHUP)
        master.wait_for_line("the reload has failed, the old workers go on: .*keyfile")
        assert subject(authority, master.port) == "second"


def test_a_certificate_that_cannot_be_used_is_status_2(folder, first):
    arguments = ("--certfile", first.certfile, "--keyfile", str(folder / "nowhere"))
    with start_master(folder, *arguments, ready=None) as master:
        assert master.wait() == 2
    assert [line for line in master.lines if line.startswith("greenserve: error: ")] == [
        f"greenserve: error: --keyfile: '{folder}/nowhere': No such file or directory"
    ]


HOOK = """
    workers = 1
    certfile, keyfile = {first!r}

    def ssl_context(config, default_ssl_context_factory):
        context = default_ssl_context_factory()
        context.load_cert_chain(*{second!r})
        print("ssl_context in", __import__("os").getpid(), config.workers, flush=True)
        return context
"""


def test_the_hook_for_the_context_is_called_in_each_worker_and_again_at_a_reload(
    folder, authority, first, second
):
    path = folder / "greenserve.conf.py"
    files = {name: (each.certfile, each.keyfile) for name, each in (("first", first), ("second", second))}
    path.write_text(dedent(HOOK).format(**files))
    with start_master(folder, "--config", str(path), workers=None) as master:
        (worker,) = master.wait_ready(1)
        assert int(master.wait_for_line(r"ssl_context in (\d+) 1")[1]) == worker
        assert subject(authority, master.port) == "second"
        files["second"] = files["first"]
        path.write_text(dedent(HOOK).format(**files))
        master.send_signal(signal.SIGHUP)
        master.wait_ready(2)
        wait_until(lambda: worker not in master.workers, "the end of the old worker")
        assert subject(authority, master.port) == "first"


ADDRESSES = re.compile(
    r"listening on http://127\.0\.0\.1:(\d+), http://\[::1\]:(\d+), unix:(\S+), \d workers"
)


def get(family: int, address: object) -> bytes:
    """Return a whole answer from an address."""
    with socket.socket(family) as client:
        client.settimeout(SECONDS)
        client.connect(address)
        client.sendall(b"GET / HTTP/1.0\r\nHost: localhost\r\n\r\n")
        with client.makefile("rb") as answer:
            return answer.read()


def ask_all(master: Master, found: re.Match[str]) -> set[int]:
    """Return who answers at all addresses."""
    addresses = [
        (socket.AF_INET, ("127.0.0.1", int(found[1]))),
        (socket.AF_INET6, ("::1", int(found[2]))),
        (socket.AF_UNIX, found[3]),
    ]
    answers = [get(*each) for each in addresses]
    assert all(answer.startswith(b"HTTP/1.1 200 OK\r\n") for answer in answers), answers
    return {int(answer.split()[-1]) for answer in answers}


@pytest.mark.parametrize("option", ["--no-reuse-port", "--reuse-port"])
def test_several_addresses_of_all_kinds_survive_reload_and_upgrade(folder, option):
    path = folder / "socket"
    bind = [part for each in ("127.0.0.1:0", "[::1]:0", f"unix:{path}") for part in ("--bind", each)]
    with start_master(folder, option, *bind, ready=ADDRESSES) as master:
        found = master.wait_for_line(ADDRESSES)
        old = set(master.wait_ready(2))
        assert ask_all(master, found) <= old
        inode = path.stat().st_ino
        master.send_signal(signal.SIGHUP)
        wait_until(lambda: master.workers.isdisjoint(old) and len(master.workers) == 2, "the new workers")
        assert ask_all(master, found) <= master.workers
        with upgraded(master) as new:
            assert ask_all(master, found) <= children_of(new)
            assert path.stat().st_ino == inode
        assert not path.exists()

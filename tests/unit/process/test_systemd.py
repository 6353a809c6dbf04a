"""What systemd is told, and what it hands on: a real datagram socket, real descriptors."""

from __future__ import annotations

import os
import socket
import time
from contextlib import closing

import pytest

from greenserve.errors import ConfigError
from greenserve.process import systemd

VARIABLES = ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", *systemd.LISTEN_VARIABLES)


@pytest.fixture(autouse=True)
def no_systemd(monkeypatch):
    """Have no variable of systemd's be set; what a test changes is put back."""
    for name in VARIABLES:
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)


@pytest.fixture(params=["path", "abstract"])
def supervisor(request, tmp_path, monkeypatch):
    """Return the socket that systemd would read."""
    path = str(tmp_path / "notify")
    name = path if request.param == "path" else "\0" + path[1:]
    with closing(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)) as sock:
        sock.bind(name)
        sock.settimeout(10)
        monkeypatch.setenv("NOTIFY_SOCKET", name.replace("\0", "@"))
        yield sock


@pytest.fixture
def pass_on(monkeypatch):
    """Return a function that sets the variables of socket activation."""

    def pass_on(count, pid=None):
        monkeypatch.setenv("LISTEN_PID", str(os.getpid() if pid is None else pid))
        monkeypatch.setenv("LISTEN_FDS", str(count))
        monkeypatch.setenv("LISTEN_FDNAMES", "web:admin")

    return pass_on


@pytest.fixture
def descriptors(monkeypatch):
    """Return the numbers of two listening sockets next to each other, where systemd's would begin."""
    with closing(socket.create_server(("127.0.0.1", 0))) as one:
        first = 700
        filenos = [first, first + 1]
        for fileno in filenos:
            os.dup2(one.fileno(), fileno, inheritable=True)
        monkeypatch.setattr(systemd, "FIRST_DESCRIPTOR", first)
        yield filenos
        for fileno in filenos:
            os.close(fileno)


# -- what it is told


def test_a_message_has_a_line_for_each_field(supervisor):
    assert systemd.notify(READY=1, STATUS="2 workers ready", MAINPID=77) is True
    assert supervisor.recv(1000) == b"READY=1\nSTATUS=2 workers ready\nMAINPID=77"


def test_a_text_stays_in_its_line(supervisor):
    systemd.notify(STATUS="failed:\nREADY=1 – \udc80")
    assert supervisor.recv(1000) == b"STATUS=failed: READY=1 \xe2\x80\x93 \x80"


def test_a_reload_says_when_it_began(supervisor):
    before = time.monotonic()
    assert systemd.reloading("reloading") is True
    first, second, third = supervisor.recv(1000).decode().splitlines()
    assert (first, third) == ("RELOADING=1", "STATUS=reloading")
    name, _, microseconds = second.partition("=")
    assert name == "MONOTONIC_USEC"
    assert before - 0.001 <= int(microseconds) / 1_000_000 <= time.monotonic()


def test_more_time_is_asked_for_in_microseconds(supervisor):
    assert systemd.extend_timeout(2.5) is True
    assert supervisor.recv(1000) == b"EXTEND_TIMEOUT_USEC=2500000"


@pytest.mark.parametrize("address", [None, "", "vsock:2:1234", "/no/such/socket", "@no-such-socket-of-ours"])
def test_without_a_supervisor_nothing_happens(address, monkeypatch):
    if address is not None:
        monkeypatch.setenv("NOTIFY_SOCKET", address)
    assert systemd.notify(READY=1) is False


def test_an_address_is_absolute(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NOTIFY_SOCKET", "notify")
    with closing(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)) as sock:
        sock.bind("notify")
        assert systemd.notify(READY=1) is False


def test_a_supervisor_that_does_not_read_does_not_keep_us(tmp_path, monkeypatch):
    path = str(tmp_path / "notify")
    monkeypatch.setattr(systemd, "PATIENCE", 0.01)
    monkeypatch.setenv("NOTIFY_SOCKET", path)
    with closing(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)) as sock:
        sock.bind(path)
        assert systemd.notify(STATUS="x" * 1000) is True
        # The queue of a datagram socket is short (net.unix.max_dgram_qlen).
        assert not all(systemd.notify(STATUS="x" * 1000) for _ in range(100_000))


# -- what it hands on


def test_the_sockets_are_ours_and_no_childs(pass_on, descriptors):
    pass_on(2)
    assert systemd.inherited_listeners() == descriptors
    assert [os.get_inheritable(fileno) for fileno in descriptors] == [False, False]
    assert [name for name in systemd.LISTEN_VARIABLES if name in os.environ] == []
    assert systemd.inherited_listeners() == []


@pytest.mark.parametrize("pid", [1, "", "nobody", os.getppid()])
def test_sockets_for_another_process_are_left_alone(pass_on, descriptors, pid):
    pass_on(2, pid)
    assert systemd.inherited_listeners() == []
    assert os.get_inheritable(descriptors[0])
    assert [name for name in systemd.LISTEN_VARIABLES if name in os.environ] == []


@pytest.mark.parametrize("count", ["0", ""])
def test_no_socket_at_all(pass_on, count):
    pass_on(count)
    assert systemd.inherited_listeners() == []


@pytest.mark.parametrize("count", ["two", "-1", "1_0", "99999999", "²"])
def test_a_count_that_is_none_is_refused(pass_on, count):
    pass_on(count)
    with pytest.raises(ConfigError) as refused:
        systemd.inherited_listeners()
    assert str(refused.value) == f"LISTEN_FDS: {count!r}: not a number of descriptors"


def test_a_descriptor_that_is_not_there_is_refused(pass_on, descriptors):
    pass_on(3)
    with pytest.raises(ConfigError, match="not all of these descriptors are there"):
        systemd.inherited_listeners()


def test_inherited_sockets_take_the_place_of_the_default_address():
    assert systemd.choose_bind(("127.0.0.1:8000",), False, [3, 4], pytest.fail) == ("fd://3", "fd://4")
    assert systemd.choose_bind(("127.0.0.1:8000",), False, [], pytest.fail) == ("127.0.0.1:8000",)


def test_a_given_address_stays_and_what_it_leaves_is_mentioned():
    notices = []
    bind = (":8000", "fd://4")
    assert systemd.choose_bind(bind, True, [3, 4, 5], notices.append) == bind
    [notice] = notices
    assert notice.endswith("nobody serves: fd://3, fd://5")
    assert systemd.choose_bind(bind, True, [4], pytest.fail) == bind
    assert systemd.choose_bind(bind, True, [], pytest.fail) == bind


# -- the watchdog


@pytest.mark.parametrize(
    ("timeout", "pid", "expected"),
    [
        ("30000000", str(os.getpid()), 15.0),
        ("3000000", None, 1.5),
        ("30000000", "1", None),
        ("0", None, None),
        ("soon", None, None),
        (None, None, None),
    ],
    ids=["ours", "anybody's", "another's", "off", "no number", "none"],
)
def test_the_watchdog_wants_a_sign_twice_in_its_time(timeout, pid, expected, monkeypatch):
    for name, value in (("WATCHDOG_USEC", timeout), ("WATCHDOG_PID", pid)):
        if value is not None:
            monkeypatch.setenv(name, value)
    assert systemd.watchdog_interval() == expected


def test_a_successor_is_watched_in_our_place():
    environ = {"WATCHDOG_PID": "1", "WATCHDOG_USEC": "5"}
    systemd.hand_over(environ)
    assert environ == {"WATCHDOG_PID": str(os.getpid()), "WATCHDOG_USEC": "5"}
    systemd.hand_over(nothing := {})
    assert nothing == {}

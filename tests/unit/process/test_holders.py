"""Register: whether a listening socket is open in one master's workers only.  Real processes, real sockets.

This process is the master; it has closed its copy of a socket where a test says nothing else.
"""

from __future__ import annotations

import os
import socket
import sys
from contextlib import contextmanager

import pytest

from greenserve.process import holders
from greenserve.process.holders import SEATS, Register

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="other systems do not say who has what open")

NO_PROCESS = 2**22 + 1  # above the largest number of one


@pytest.fixture
def register():
    return Register()


@pytest.fixture
def sock():
    with socket.socket() as sock:
        yield sock


def inode_of(sock):
    return os.fstat(sock.fileno()).st_ino


@contextmanager
def process(action=lambda: None):
    """Have a child that has open what is open here now, and has done `action`."""
    ready, is_ready = os.pipe()
    gate, opens_gate = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.close(opens_gate)
            action()
            os.write(is_ready, b".")
            os.read(gate, 1)
        finally:
            os._exit(0)
    os.close(is_ready)
    os.close(gate)
    try:
        assert os.read(ready, 1) == b"."
        yield pid
    finally:
        os.close(ready)
        os.close(opens_gate)
        os.waitpid(pid, 0)


def ask(question):
    """Return what a worker that does not hold the socket answers."""
    pid = os.fork()
    if pid == 0:
        answer = 2
        try:
            answer = int(question())
        finally:
            os._exit(answer)
    answer = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    assert answer in (0, 1), "it has failed"
    return bool(answer)


def test_what_nobody_has_open_no_stranger_has(register):
    assert ask(lambda: register.are_all([NO_PROCESS]))


def test_a_socket_that_workers_have_open_is_theirs_alone(register, sock):
    inodes = {inode_of(sock)}
    with process(lambda: register.enter(1)), process(lambda: register.enter(2)):
        sock.close()
        assert ask(lambda: register.are_all(inodes))


def test_who_asks_is_no_stranger(register):
    def question():
        with socket.socket() as sock:
            return register.are_all({inode_of(sock)})

    assert ask(question)


@pytest.mark.parametrize("others", [0, 1])
def test_what_a_stranger_has_open_is_not_the_workers_alone(others, register, sock):
    inodes = {inode_of(sock), *range(NO_PROCESS, NO_PROCESS + others)}
    with process(lambda: register.enter(1)), process():
        sock.close()
        assert not ask(lambda: register.are_all(inodes))
        assert ask(lambda: register.are_all([NO_PROCESS])), "what else it has open does not matter"


def test_what_the_master_has_open_is_not_the_workers_alone(register, sock):
    assert not ask(lambda: register.are_all({inode_of(sock)}))


@pytest.mark.parametrize(("number", "is_known"), [(SEATS - 1, True), (SEATS + 1, False), (SEATS, True)])
def test_a_worker_is_known_until_its_seat_is_taken(number, is_known, register, sock):
    inodes = {inode_of(sock)}
    with process(lambda: register.enter(1)):
        sock.close()
        with process(lambda: register.enter(number)):
            assert ask(lambda: register.are_all(inodes)) is is_known


@pytest.mark.parametrize("name", ["a) S 1 (b", "a b", ")"])
def test_a_worker_is_known_whatever_its_name_is(name, register, sock):
    def enter():
        register.enter(1)
        with open("/proc/self/comm", "w") as file:
            file.write(name)

    inodes = {inode_of(sock)}
    with process(enter):
        sock.close()
        assert ask(lambda: register.are_all(inodes))


def test_a_worker_is_known_in_a_process_group_of_its_own(register, sock):
    def enter():
        register.enter(1)
        os.setpgid(0, 0)

    inodes = {inode_of(sock)}
    with process(enter):
        sock.close()
        assert ask(lambda: register.are_all(inodes))


def test_a_process_of_another_parent_is_a_stranger(register, sock):
    """It has got the number of a worker that has ended."""
    inodes = {inode_of(sock)}
    with process(lambda: register.enter(1)):
        sock.close()
        assert not ask(lambda: ask(lambda: register.are_all(inodes)))


def test_a_worker_that_ends_while_it_is_looked_at_has_nothing_open(register, monkeypatch):
    with process(lambda: register.enter(1)) as ended:
        pass
    listed = os.listdir
    names = lambda path: [*listed(path), str(ended)] if path == "/proc" else listed(path)  # noqa: E731
    monkeypatch.setattr(os, "listdir", names)
    assert ask(lambda: register.are_all([NO_PROCESS]))


def test_what_another_user_runs_is_not_asked(register, sock, monkeypatch):
    monkeypatch.setattr(holders, "open_sockets", lambda pid: None)
    assert ask(lambda: register.are_all({inode_of(sock)}))


@pytest.mark.parametrize("names", [None, [], ["1", "self"]])
def test_where_processes_cannot_be_seen_nobody_knows(names, register, monkeypatch):
    def listed(path):
        if names is None:
            raise FileNotFoundError
        return names

    monkeypatch.setattr(os, "listdir", listed)
    monkeypatch.setattr(holders, "open_sockets", lambda pid: None)
    assert not ask(lambda: register.are_all([NO_PROCESS]))

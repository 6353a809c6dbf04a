"""Which sockets a process has open."""

from __future__ import annotations

import os
import socket

from greenserve.net.listener import open_sockets


def test_the_sockets_of_a_process_are_those_that_it_has_open():
    with socket.socket() as sock:
        inode = os.fstat(sock.fileno()).st_ino
        assert inode in (open_sockets(os.getpid()) or ())
    assert inode not in (open_sockets(os.getpid()) or ())
    with open(__file__) as file:
        assert os.fstat(file.fileno()).st_ino not in (open_sockets(os.getpid()) or ())


def test_of_a_process_that_is_not_there_nothing_is_known():
    assert open_sockets(2**22 + 1) is None  # above the largest number of a process

"""TLS sockets after the handshake, against a client that does one step at a time."""

from __future__ import annotations

import _socket
import contextlib
import errno
import os
import socket
import ssl
import struct
from typing import Any

import pytest

from greenserve.net.tls import TlsSocket
from tests.tls_pair import Pair

# Receiving


def reset(pair: Pair) -> None:
    """Have the client vanish, and wait until the server can know."""
    pair.client_sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    pair.client_sock.close()
    pair.wait()


def test_what_was_sent_is_received(pair: Pair) -> None:
    pair.client.send(b"question")
    assert pair.recv() == b"question"
    with pytest.raises(BlockingIOError) as caught:
        pair.server.recv(100)
    assert caught.value.errno == errno.EAGAIN
    assert pair.server.send(b"answer") == 6
    assert pair.client.recv() == b"answer"


def test_nothing_stays_behind_in_openssl(pair: Pair) -> None:
    pair.client.send(b"x" * 10_000)
    assert pair.recv(1) == b"x" * 10_000
    assert pair.server.pending() == 0
    with pytest.raises(BlockingIOError):
        pair.server.recv(1)


def test_a_part_of_a_record_is_nothing_yet(pair: Pair) -> None:
    pair.client.tls.write(b"question")
    ciphertext = pair.client.outgoing.read()
    pair.client_sock.sendall(ciphertext[:-1])
    pair.wait()
    with pytest.raises(BlockingIOError):
        pair.server.recv(100)
    pair.client_sock.sendall(ciphertext[-1:])
    assert pair.recv() == b"question"


def test_several_records_arrive_in_order(pair: Pair) -> None:
    for number in range(5):
        pair.client.send(b"%d" % number * 1000)
    received = b""
    while len(received) < 5000:
        received += pair.recv()
    assert received == b"".join(b"%d" % number * 1000 for number in range(5))


def test_an_announced_end_is_an_end_and_answers_are_still_sent(pair: Pair) -> None:
    pair.client.send(b"question")
    with pytest.raises(ssl.SSLWantReadError):
        pair.client.tls.unwrap()  # close_notify is sent, the server's is waited for
    pair.client.flush()
    assert pair.recv() == b"question"
    assert [pair.recv(), pair.server.recv(100)] == [b"", b""]
    assert pair.server.send(b"answer") == 6
    assert pair.client.fetch()


def test_an_end_that_was_not_announced_is_an_end(pair: Pair) -> None:
    pair.client.send(b"question")
    pair.client_sock.shutdown(socket.SHUT_WR)
    assert pair.recv() == b"question"
    assert [pair.recv(), pair.server.recv(100)] == [b"", b""]


def test_a_reset_is_an_end_or_a_connection_error(pair: Pair) -> None:
    reset(pair)
    try:
        assert pair.server.recv(100) == b""  # before Python 3.13
    except ConnectionResetError:
        pass
    with pytest.raises(ConnectionError):
        pair.server.send(b"answer")


def test_garbage_is_a_connection_error_with_a_reason(pair: Pair) -> None:
    pair.client_sock.sendall(struct.pack(">BHH", 23, 0x0303, 32) + b"?" * 32)
    with pytest.raises(ConnectionError, match="TLS: .*bad"):
        pair.recv()


# Sending


def test_a_peer_that_reads_late_blocks_nothing_and_gets_everything(pair: Pair) -> None:
    data = os.urandom(1 << 16) * 256  # more than any buffer of the kernel
    sent = pair.server.send(data)
    assert 16384 < sent < len(data)
    with pytest.raises(BlockingIOError):
        while sent < len(data):  # the kernel may make room as the octets arrive on the other side
            sent += pair.server.send(memoryview(data)[sent:])
    received = bytearray()
    while len(received) < len(data):
        received += pair.client.recv()
        with contextlib.suppress(BlockingIOError):
            sent += pair.server.send(memoryview(data)[sent:])
    assert bytes(received) == data


def test_several_records_are_one_call(pair: Pair) -> None:
    assert pair.server.send(b"x" * 50_000) == 50_000
    assert pair.server.send(memoryview(b"y" * 20_000)) == 20_000


def test_nothing_to_send_is_nothing_sent(pair: Pair) -> None:
    assert pair.server.send(b"") == 0
    pair.server.send(b"answer")
    assert pair.client.recv() == b"answer"


@pytest.mark.parametrize("size", [6, 100_000])
def test_sending_to_a_peer_that_has_gone_is_a_connection_error(pair: Pair, size: int) -> None:
    reset(pair)
    for _ in range(2):
        with pytest.raises(ConnectionError):
            pair.server.send(b"x" * size)


# The end


def test_shutdown_announces_the_end_and_does_not_wait_for_the_peers(pair: Pair) -> None:
    pair.server.send(b"answer")
    pair.server.shutdown(_socket.SHUT_WR)
    assert pair.client.recv() == b"answer"
    assert pair.client.recv() == b""  # not an SSLEOFError
    assert pair.client_sock.recv(100) == b""
    with pytest.raises(ConnectionError):
        pair.server.send(b"more")


def test_after_shutdown_the_rest_can_be_thrown_away(pair: Pair) -> None:
    pair.client.send(b"unread")
    pair.wait()
    pair.server.shutdown(_socket.SHUT_WR)
    pair.client.send(b"on its way")
    pair.client_sock.shutdown(socket.SHUT_WR)
    while pair.recv():
        pass
    assert pair.server.pending() == 0


def test_shutdown_for_reading_leaves_tls_alone(pair: Pair) -> None:
    pair.server.shutdown(_socket.SHUT_RD)
    pair.server.send(b"answer")
    assert pair.client.recv() == b"answer"


def test_shutdown_in_the_middle_of_a_handshake(paired: Any) -> None:
    pair = paired()
    pair.server.shutdown(_socket.SHUT_WR)
    assert pair.client_sock.recv(100) == b""


def test_a_closed_socket_says_so(pair: Pair) -> None:
    pair.server.close()
    pair.server.close()
    assert pair.server.fileno() == pair.plain.fileno() == -1
    assert pair.server.pending() == 0
    calls = [
        lambda: pair.server.recv(1),
        lambda: pair.server.send(b"x"),
        pair.server.do_handshake,
        pair.server.version,
        pair.server.getpeername,
        lambda: pair.server.shutdown(_socket.SHUT_WR),
    ]
    for call in calls:
        with pytest.raises(OSError) as caught:
            call()
        assert caught.value.errno == errno.EBADF
    with pytest.raises(ssl.SSLEOFError):
        pair.client.recv()  # close alone announces nothing


def test_the_descriptor_belongs_to_the_socket_beneath(pair: Pair) -> None:
    fileno = pair.plain.fileno()
    context = pair.server.context
    pair.server = TlsSocket(pair.plain, context)  # the first one is dropped
    assert pair.plain.fileno() == fileno
    assert pair.plain.getsockname()


def test_a_closed_socket_leaves_the_next_owner_of_its_number_alone(pair: Pair) -> None:
    context, fileno = pair.server.context, pair.plain.fileno()
    closed = TlsSocket(pair.plain, context)
    closed.close()
    with open(os.devnull, "rb") as file:
        os.dup2(file.fileno(), fileno)
    del closed
    os.close(fileno)  # raises where it is closed already


def test_it_looks_like_a_socket(pair: Pair) -> None:
    assert pair.server.fileno() == pair.plain.fileno()
    assert pair.server.family == _socket.AF_INET
    assert pair.server.getpeername() == pair.client_sock.getsockname()
    assert pair.server.getsockname() == pair.client_sock.getpeername()
    pair.server.setsockopt(_socket.IPPROTO_TCP, _socket.TCP_NODELAY, 1)
    assert pair.plain.getsockopt(_socket.IPPROTO_TCP, _socket.TCP_NODELAY)

"""What a user may write for an address, and how addresses are shown."""

from __future__ import annotations

import _socket
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenserve.errors import ConfigError
from greenserve.net.address import (
    UNIX_PATH_LIMIT,
    DescriptorAddress,
    TcpAddress,
    UnixAddress,
    format_address,
    parse_address,
    peer_of,
)

UNDERSTOOD: list[tuple[Any, Any]] = [
    ("127.0.0.1:8000", TcpAddress("127.0.0.1", 8000)),
    ("0.0.0.0:80", TcpAddress("0.0.0.0", 80)),
    ("localhost:8000", TcpAddress("localhost", 8000)),
    ("my-host.example:0", TcpAddress("my-host.example", 0)),
    ("[::1]:8000", TcpAddress("::1", 8000)),
    ("[::]:8000", TcpAddress("::", 8000)),
    ("[fe80::1%eth0]:80", TcpAddress("fe80::1%eth0", 80)),
    (":8000", TcpAddress("", 8000, dual=True)),
    ("*:8000", TcpAddress("", 8000, dual=True)),
    ("8000", TcpAddress("", 8000, dual=True)),
    (":0", TcpAddress("", 0, dual=True)),
    (":65535", TcpAddress("", 65535, dual=True)),
    (8000, TcpAddress("", 8000, dual=True)),
    (("", 8000), TcpAddress("", 8000, dual=True)),
    (("127.0.0.1", 80), TcpAddress("127.0.0.1", 80)),
    (("127.0.0.1", "80"), TcpAddress("127.0.0.1", 80)),
    (("::1", 0), TcpAddress("::1", 0)),
    (("[::1]", 0), TcpAddress("::1", 0)),
    (("::", 0), TcpAddress("::", 0)),
    (("::1", 80, 0, 0), TcpAddress("::1", 80)),
    (("fe80::1", 80, 0, 3), TcpAddress("fe80::1%3", 80)),
    (("fe80::1%eth0", 80, 0, 3), TcpAddress("fe80::1%eth0", 80)),
    ("unix:/run/app.sock", UnixAddress("/run/app.sock")),
    ("unix:app.sock", UnixAddress("app.sock")),
    ("unix:@app", UnixAddress("@app")),
    ("unix:/a:80", UnixAddress("/a:80")),
    ("fd://0", DescriptorAddress(0)),
    ("fd://17", DescriptorAddress(17)),
]


@pytest.mark.parametrize(("value", "address"), UNDERSTOOD, ids=lambda value: repr(value))
def test_addresses_that_are_understood(value: Any, address: Any) -> None:
    assert parse_address(value) == address


REFUSED: list[tuple[Any, str]] = [
    ("", "a port is missing"),
    ("localhost", "a port is missing"),
    ("localhost:", "the port is missing"),
    ("localhost:http", "not a number"),
    ("localhost:+80", "not a number"),
    ("localhost: 80", "not a number"),
    ("localhost:8_0", "not a number"),
    ("localhost:80\n", "not a number"),
    ("٨٠", "not a number"),
    ("localhost:65536", "between 0 and 65535"),
    ("70000", "between 0 and 65535"),
    ("123456", "not a number"),
    (-1, "between 0 and 65535"),
    (65536, "between 0 and 65535"),
    ("::1:8000", "brackets"),
    ("[::1]", "brackets"),
    ("[localhost]:80", "IPv6 addresses only"),
    ("[::1:8000", "brackets"),
    ("[]:80", "IPv6 addresses only"),
    ("http://localhost:80", "brackets"),
    ("http//localhost:80", "neither a name nor an address"),
    ("local host:80", "neither a name nor an address"),
    ("local\x00host:80", "neither a name nor an address"),
    ("**:80", "neither a name nor an address"),
    ("unix:", "the path is missing"),
    ("unix:@", "the path is missing"),
    ("unix:/a\x00b", "NUL"),
    ("unix:/" + "a" * UNIX_PATH_LIMIT, "longer than"),
    ("fd://", "number of a descriptor"),
    ("fd://-1", "number of a descriptor"),
    ("fd://stdin", "number of a descriptor"),
    (True, "neither a text"),
    (None, "neither a text"),
    (b"localhost:80", "neither a text"),
    (1.5, "neither a text"),
    (("localhost",), "is wanted"),
    (("localhost", 80, 0), "is wanted"),
    ((None, 80), "is wanted"),
    ((b"localhost", 80), "is wanted"),
    (("localhost", None), "not a number"),
    (("localhost", True), "not a number"),
    (("localhost", 80.0), "not a number"),
    (("localhost", 65536), "between 0 and 65535"),
    (("local host", 80), "neither a name nor an address"),
]


@pytest.mark.parametrize(("value", "reason"), REFUSED, ids=lambda value: repr(value)[:40])
def test_what_is_no_address_is_refused_with_the_reason(value: Any, reason: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_address(value)
    assert caught.value.option == "bind"
    assert caught.value.value == value
    assert reason in caught.value.reason


@given(st.text(alphabet="[]:*@%/0123456789afunixd.-\x00 é", max_size=24))
def test_any_text_gives_an_address_or_a_config_error_and_addresses_read_back(text: str) -> None:
    try:
        address = parse_address(text)
    except ConfigError:
        return
    assert parse_address(str(address)) == address


def test_the_longest_unix_path_is_understood() -> None:
    path = "/" + "a" * (UNIX_PATH_LIMIT - 1)
    assert parse_address(f"unix:{path}") == UnixAddress(path)


def test_an_abstract_name_is_bound_with_a_leading_nul() -> None:
    address = UnixAddress("@name")
    assert address.abstract
    assert address.sockname == "\0name"


def test_a_path_is_bound_as_it_is() -> None:
    address = UnixAddress("/run/app@home.sock")
    assert not address.abstract
    assert address.sockname == "/run/app@home.sock"


@pytest.mark.parametrize(
    ("sockname", "family", "dual", "text"),
    [
        (("127.0.0.1", 8000), _socket.AF_INET, False, "127.0.0.1:8000"),
        (("0.0.0.0", 8000), _socket.AF_INET, False, "0.0.0.0:8000"),
        (("::1", 8000, 0, 0), _socket.AF_INET6, False, "[::1]:8000"),
        (("::", 8000, 0, 0), _socket.AF_INET6, False, "[::]:8000"),
        (("::", 8000, 0, 0), _socket.AF_INET6, True, "*:8000"),
        (("fe80::1%eth0", 8000, 0, 2), _socket.AF_INET6, False, "[fe80::1%eth0]:8000"),
        ("/run/app.sock", _socket.AF_UNIX, False, "unix:/run/app.sock"),
        (b"\0name", _socket.AF_UNIX, False, "unix:@name"),
        (b"\0na\xffme", _socket.AF_UNIX, False, "unix:@na\\xffme"),
    ],
)
def test_a_bound_socket_is_named_as_it_would_be_written(
    sockname: Any, family: int, dual: bool, text: str
) -> None:
    assert format_address(sockname, family, dual) == text


@pytest.mark.parametrize(
    ("address", "family", "peer"),
    [
        (("192.0.2.1", 1234), _socket.AF_INET, ("192.0.2.1", "1234")),
        (("2001:db8::1", 1234, 0, 0), _socket.AF_INET6, ("2001:db8::1", "1234")),
        (("::ffff:192.0.2.1", 1234, 0, 0), _socket.AF_INET6, ("192.0.2.1", "1234")),
        (("::ffff:0:1", 1234, 0, 0), _socket.AF_INET6, ("::ffff:0:1", "1234")),
        ("", _socket.AF_UNIX, ("", "")),
        ("/run/client.sock", _socket.AF_UNIX, ("", "")),
        (b"\0client", _socket.AF_UNIX, ("", "")),
    ],
)
def test_the_peer_of_a_connection(address: Any, family: int, peer: tuple[str, str]) -> None:
    assert peer_of(address, family) == peer

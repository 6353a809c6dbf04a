"""Where a server listens and who connected: addresses as text, as tuples, and as environ values.

`parse_address` reads what a user wrote into one of three value objects; nothing is resolved and no
socket is made here.  `''` and ``:PORT`` mean both families (`TcpAddress.dual`), ``[::]:PORT`` means
IPv6 alone.  Everything here takes the integer constants of the C module `_socket`: comparing them
is quick, and none of it is ever patched.
"""

from __future__ import annotations

import _socket
import re
from dataclasses import dataclass
from typing import Any

from greenserve.errors import ConfigError

#: Longest path of a Unix socket in octets: `sun_path` holds 108 on Linux, a NUL included (unix(7)).
UNIX_PATH_LIMIT = 107

LARGEST_PORT = 65535

MAPPED = "::ffff:"  # an IPv4-mapped address, as the C library writes it (RFC 5952, 5)

PORT = re.compile(r"[0-9]{1,5}")
# What cannot be a host name or an address.  Anything else is for the resolver to judge.
NOT_IN_HOST = re.compile(r"[\x00-\x20\x7f/?#@\[\]*]")

_AF_INET = _socket.AF_INET
_AF_UNIX = _socket.AF_UNIX


@dataclass(frozen=True)
class TcpAddress:
    """A TCP port on `host`; `dual` (and `host` "") where every address of both families is meant."""

    host: str
    port: int
    dual: bool = False

    def __str__(self) -> str:
        return _with_port("*" if self.dual else self.host, self.port)


@dataclass(frozen=True)
class UnixAddress:
    """A Unix socket: the path of a file, or "@" and a name in Linux's abstract namespace."""

    path: str

    @property
    def abstract(self) -> bool:
        """Whether there is no file, only a name that vanishes with its last descriptor."""
        return self.path.startswith("@")

    @property
    def sockname(self) -> str:
        """What bind() and connect() take."""
        return "\0" + self.path[1:] if self.abstract else self.path

    def __str__(self) -> str:
        return f"unix:{self.path}"


@dataclass(frozen=True)
class DescriptorAddress:
    """A listening socket that the process has inherited as descriptor `fileno`."""

    fileno: int

    def __str__(self) -> str:
        return f"fd://{self.fileno}"


Address = TcpAddress | UnixAddress | DescriptorAddress


def parse_address(value: str | tuple[Any, ...] | int, name: str = "bind") -> Address:
    """Return the address that `value` means.

    Text: ``HOST:PORT``, ``[::1]:PORT``, ``:PORT``, ``*:PORT``, ``PORT``, ``unix:/path``,
    ``unix:@name``, ``fd://N``.  A tuple is ``(host, port)``, or ``(host, port, flowinfo, scope)`` for
    IPv6.  An int is a port.  Without a host, or with the host "", both families are meant; port 0 lets
    the system choose.  Raises ConfigError, which says that it was given as `name`.
    """
    try:
        return _parse(value)
    except ValueError as error:
        raise ConfigError(name, value, str(error)) from None


def _parse(value: object) -> Address:
    if isinstance(value, str):
        return _parse_text(value)
    if isinstance(value, tuple):
        return _parse_tuple(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return _tcp_address("", value)
    raise ValueError("neither a text nor a tuple nor a port")


def _parse_text(text: str) -> Address:
    if text.startswith("unix:"):
        return _unix_address(text[5:])
    if text.startswith("fd://"):
        return _descriptor_address(text[5:])
    if text.isdigit():
        return _tcp_address("", _read_port(text))
    host, colon, port = text.rpartition(":")
    if not colon:
        raise ValueError("a port is missing: HOST:PORT is wanted")
    if host.startswith("[") and host.endswith("]"):
        if ":" not in host:
            raise ValueError("brackets are for IPv6 addresses only")
        return _tcp_address(host[1:-1], _read_port(port))
    if ":" in host:
        raise ValueError("an IPv6 address needs brackets: [ADDRESS]:PORT")
    return _tcp_address("" if host == "*" else host, _read_port(port))


def _parse_tuple(value: tuple[Any, ...]) -> TcpAddress:
    if len(value) not in (2, 4) or not isinstance(value[0], str):
        raise ValueError("(host, port) or (host, port, flowinfo, scope) is wanted")
    host, port = value[:2]
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    if len(value) == 4 and value[3] and "%" not in host:
        host = f"{host}%{value[3]}"  # the form that getaddrinfo() reads (RFC 4007, 11)
    if isinstance(port, str):
        port = _read_port(port)
    if not isinstance(port, int) or isinstance(port, bool):
        raise ValueError("the port is not a number")
    return _tcp_address(host, port)


def _tcp_address(host: str, port: int) -> TcpAddress:
    if NOT_IN_HOST.search(host):
        raise ValueError("the host is neither a name nor an address")
    if not 0 <= port <= LARGEST_PORT:
        raise ValueError(f"the port is not between 0 and {LARGEST_PORT}")
    return TcpAddress(host, port, dual=not host)


def _unix_address(path: str) -> UnixAddress:
    if not path.removeprefix("@"):
        raise ValueError("the path is missing: unix:/path or unix:@name is wanted")
    if "\0" in path:
        raise ValueError("a NUL character in the path")
    if len(path.encode("utf-8", "surrogateescape")) > UNIX_PATH_LIMIT:
        raise ValueError(f"the path of a Unix socket is longer than {UNIX_PATH_LIMIT} octets")
    return UnixAddress(path)


def _descriptor_address(number: str) -> DescriptorAddress:
    if not re.fullmatch("[0-9]{1,9}", number):
        raise ValueError("fd:// is followed by the number of a descriptor")
    return DescriptorAddress(int(number))


def _read_port(text: str) -> int:
    # int() alone would take "+80", "8_0" and digits of other scripts.
    if not PORT.fullmatch(text):
        raise ValueError("the port is not a number" if text else "the port is missing")
    return int(text)


def _with_port(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def format_address(sockname: Any, family: int, dual: bool = False) -> str:
    """Return the name of a bound socket for a log line, as `parse_address` reads it.

    `sockname` and `family` are the socket's; `dual` says that an IPv6 socket takes IPv4 too, which its
    name does not show: ``127.0.0.1:8000``, ``[::1]:8000``, ``*:8000``, ``unix:/path``, ``unix:@name``.
    """
    if family == _AF_UNIX:
        if isinstance(sockname, bytes):
            return "unix:" + sockname.decode("utf-8", "backslashreplace").replace("\0", "@", 1)
        return f"unix:{sockname}"
    host, port = sockname[:2]
    return _with_port("*" if dual and host == "::" else host, port)


def peer_of(address: Any, family: int) -> tuple[str, str]:
    """Return REMOTE_ADDR and REMOTE_PORT of the peer that accept() named (RFC 3875, 4.1.8).

    A peer that came by IPv4 has a dotted quad, on a dual-stack socket too; one on a Unix socket has
    neither: ("", "").
    """
    if family == _AF_INET:
        return address[0], str(address[1])
    if family == _AF_UNIX:
        return "", ""
    host = address[0]
    if host.startswith(MAPPED) and "." in host:
        host = host[7:]
    return host, str(address[1])

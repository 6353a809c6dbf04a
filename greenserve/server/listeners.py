"""The listeners of one server: as asked for, as bound, and where they are bound again."""

from __future__ import annotations

import _socket
from dataclasses import replace
from typing import Any

from greenserve.errors import ListenError
from greenserve.net.address import Address, DescriptorAddress, TcpAddress, UnixAddress, parse_address
from greenserve.net.listener import adopt_listener, bind_listener, listener_name, release_listener


class Listeners:
    """What `wanted` (one address or bound socket, or a list of them) asks for; errors call it `name`.

    `sockets` is empty until `bind()`, but for sockets that were bound already, and after `close()`.  Then
    `bind()` listens at the same places: a port that the system chose is kept, and in place of a ready-made
    TCP socket there is one of our own, as with gevent's servers.

    Raises TypeError, ConfigError.
    """

    def __init__(self, wanted: Any, backlog: int | None, default_backlog: int, name: str = "bind") -> None:
        self.backlog = default_backlog if backlog is None else backlog
        self.sockets: list[Any] = []
        self._addresses: list[Address] = []
        self._ready_made: list[tuple[Any, Address | None]] = []  # their names, and where to bind again
        for each in wanted if isinstance(wanted, list) else [wanted]:
            if not hasattr(each, "fileno"):
                self._addresses.append(parse_address(each, name))
            elif backlog is not None:
                raise TypeError("backlog must be None when a socket instance is passed")
            else:
                sock = adopt_listener(each, self.backlog)
                is_tcp = sock.family in (_socket.AF_INET, _socket.AF_INET6)
                place = parse_address(listener_name(sock)) if is_tcp else None
                self._ready_made.append((sock.getsockname(), place))
                self.sockets.append(sock)
        self._is_bound = False

    def bind(self, unix_mode: int | None, unix_owner: str | None) -> None:
        """Bind what is not bound yet; all or none.  Raises ListenError."""
        if self._is_bound:
            return
        if not self.sockets:
            self._replace_ready_made()
        bound: list[Any] = []
        try:
            for address in self._addresses:
                bound.append(bind_listener(address, self.backlog, unix_mode, unix_owner))  # noqa: PERF401
        except Exception:
            for listener in bound:
                release_listener(listener)
            raise
        self._addresses = [_as_bound(*each) for each in zip(self._addresses, bound, strict=True)]
        self.sockets += bound
        self._is_bound = True

    def _replace_ready_made(self) -> None:
        """Have the places of ready-made sockets bound: those have been closed, and are nobody's any more."""
        for name, place in self._ready_made:
            if place is None:  # its file is not ours to replace
                raise ListenError(f"cannot listen on {name!r} again: the socket that was given is closed")
        self._addresses[:0] = [place for _, place in self._ready_made if place is not None]
        self._ready_made = []

    def close(self) -> None:
        """Close them; `bind` may be called again."""
        sockets, self.sockets = self.sockets, []
        self._is_bound = False
        for listener in sockets:
            release_listener(listener)

    @property
    def address(self) -> Any:
        """The (first) address: ``(host, port)`` whatever the family, or the path of a Unix socket.

        pywsgi gives four parts where it listens on IPv6, but its programs take two.
        """
        if self.sockets:
            name = self.sockets[0].getsockname()
            return name[:2] if isinstance(name, tuple) else name
        address = self._addresses[0]
        if isinstance(address, UnixAddress):
            return address.path
        return str(address) if isinstance(address, DescriptorAddress) else (address.host, address.port)


def _as_bound(address: Address, listener: Any) -> Address:
    """Return where `listener` would be bound again: whoever was told its port finds the server there."""
    if isinstance(address, TcpAddress):
        return replace(address, port=listener.getsockname()[1])
    return address

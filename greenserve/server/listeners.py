"""The listeners of one server: as asked for, as bound."""

from __future__ import annotations

from typing import Any

from greenserve.net.address import Address, DescriptorAddress, UnixAddress, parse_address
from greenserve.net.listener import adopt_listener, bind_listener, release_listener


class Listeners:
    """What `wanted` (one address or bound socket, or a list of them) asks for.

    `sockets` is empty until `bind()`, but for sockets that were bound already, and after `close()`.
    Raises TypeError, ConfigError.
    """

    def __init__(self, wanted: Any, backlog: int | None, default_backlog: int) -> None:
        self.backlog = default_backlog if backlog is None else backlog
        self.sockets: list[Any] = []
        self._addresses: list[Address] = []
        for each in wanted if isinstance(wanted, list) else [wanted]:
            if not hasattr(each, "accept"):
                self._addresses.append(parse_address(each))
            elif backlog is not None:
                raise TypeError("backlog must be None when a socket instance is passed")
            else:
                self.sockets.append(adopt_listener(each, self.backlog))
        self._is_bound = False

    def bind(self, unix_mode: int | None, unix_owner: str | None) -> None:
        """Bind what is not bound yet; all or none.  Raises ListenError."""
        if self._is_bound:
            return
        bound: list[Any] = []
        try:
            for address in self._addresses:
                bound.append(bind_listener(address, self.backlog, unix_mode, unix_owner))  # noqa: PERF401
        except Exception:
            for listener in bound:
                release_listener(listener)
            raise
        self.sockets += bound
        self._is_bound = True

    def close(self) -> None:
        """Close them; addresses may be bound again."""
        sockets, self.sockets = self.sockets, []
        self._is_bound = False
        for listener in sockets:
            release_listener(listener)

    @property
    def address(self) -> Any:
        """The (first) address as pywsgi gives it: a tuple, or the path of a Unix socket."""
        if self.sockets:
            return self.sockets[0].getsockname()
        address = self._addresses[0]
        if isinstance(address, UnixAddress):
            return address.path
        return str(address) if isinstance(address, DescriptorAddress) else (address.host, address.port)

"""The listening sockets of a master: bound once, kept to the end, given to workers and to a successor.

With ``reuse_port`` there is a set of them for each position among the workers; a set outlives the worker that
serves it, because closing a socket resets the connections that wait in its queue.
"""

from __future__ import annotations

import _socket
import json
import os
from array import array
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from struct import pack
from typing import Any

from greenserve.config import Config
from greenserve.errors import ConfigError
from greenserve.net.address import Address, TcpAddress, parse_address
from greenserve.net.listener import NO_FILE, UnixListener, bind_listener, listener_name, release_listener

#: Tells a successor which sockets it inherits: for each address a list of descriptors, and its file.
VARIABLE = "GREENSERVE_LISTENERS"

#: A program for the kernel that drops the segments which begin a connection (linux/filter.h).
SO_ATTACH_FILTER = 26
_INSTRUCTIONS = (
    (0x30, 0, 0, 13),  # load the octet with the flags
    (0x54, 0, 0, 0x12),  # SYN and ACK of them
    (0x15, 0, 1, 0x02),  # SYN alone?
    (0x06, 0, 0, 0),  # drop it
    (0x06, 0, 0, 0xFFFFFFFF),  # take it whole
)
_FILTER = array("Q", b"".join(pack("=HBBI", *each) for each in _INSTRUCTIONS))
_PROGRAM = pack("HP", len(_FILTER), _FILTER.buffer_info()[0])


class ListenerSets:
    """The sockets for the addresses in `bind`; `inherited` are those of a predecessor.

    Raises ConfigError for an address that is none.
    """

    def __init__(
        self, bind: Sequence[str], config: Config, inherited: Mapping[str, Any] | None = None
    ) -> None:
        self.bind = tuple(bind)
        self.sets: list[list[Any]] = []
        self._config = config
        self._addresses: list[Address] = [parse_address(text) for text in bind]
        self._inherited = {text: Inherited(*value) for text, value in (inherited or {}).items()}

    @property
    def names(self) -> list[str]:
        """Where it is listened, for people."""
        return [listener_name(each) for each in self.sets[0]]

    def open(self, count: int) -> None:
        """Have `count` sets, or one where they are shared; all or none.  Raises ListenError.

        There are more of them if a predecessor had more: in each of its queues somebody may be waiting.
        """
        inherited = (len(self._inherited[text].filenos) for text in self.bind if text in self._inherited)
        wanted = max(count if self._config.reuse_port else 1, len(self.sets) + max(inherited, default=0))
        for _ in range(len(self.sets), wanted):
            bound: list[Any] = []
            try:
                for text, address in zip(self.bind, self._addresses, strict=True):
                    bound.append(self._open(text, address, len(bound)))  # noqa: PERF401  (all or none)
            except Exception:
                for listener in bound:
                    if not any(listener in each for each in self.sets):
                        release_listener(listener)
                raise
            self.sets.append(bound)
            self._addresses = [
                replace(address, port=listener.getsockname()[1])
                if isinstance(address, TcpAddress)
                else address
                for address, listener in zip(self._addresses, bound, strict=True)
            ]

    def _open(self, text: str, address: Address, index: int) -> Any:
        inherited = self._inherited.get(text)
        if inherited is not None and inherited.filenos:
            return inherited.take()
        config = self._config
        if self.sets and not (isinstance(address, TcpAddress) and config.reuse_port):
            return self.sets[0][index]  # of these there can be only one
        return bind_listener(
            address, config.backlog, config.unix_mode, config.unix_owner, reuse_port=config.reuse_port
        )

    def of(self, position: int, count: int) -> list[Any]:
        """Return the sockets for a position among `count`; no set is left out."""
        if not self._config.reuse_port:
            return self.every()
        found: list[Any] = []
        for each in self.sets[position % count :: count]:
            found += [listener for listener in each if listener not in found]
        return found

    def close(self) -> None:
        """Close them, and remove the files of Unix sockets."""
        for listener in self.every():
            release_listener(listener)
        self.sets = []
        for inherited in self._inherited.values():
            inherited.close()

    def keep(self, share: list[Any]) -> None:
        """In a child: let go of all but its share."""
        for listener in self.every():
            if listener not in share:
                listener.close()

    def refuse_newcomers(self) -> None:
        """Have no handshake begin any more, before the queues are emptied for the last time.

        What came into a queue between the last accept() and the close would be reset.  A first segment that
        is dropped is sent again, and refused then.  Only for sockets that nobody else has: those of systemd
        and the like live on, as those of an upgrade do.
        """
        for each in self.sets:
            for address, listener in zip(self._addresses, each, strict=True):
                if isinstance(address, TcpAddress):
                    refuse_newcomers(listener)

    def every(self) -> list[Any]:
        """Return each socket once."""
        found: list[Any] = []
        for each in self.sets:
            found += [listener for listener in each if listener not in found]
        return found

    # Handing over.

    def describe(self) -> str:
        """Return what a successor needs to know, and have the sockets inherited; for the forked child."""
        described = {}
        for index, text in enumerate(self.bind):
            listeners = list(dict.fromkeys(each[index] for each in self.sets))
            for listener in listeners:
                os.set_inheritable(listener.fileno(), True)
            file = getattr(listeners[0], "file", NO_FILE)[:3]
            described[text] = ([listener.fileno() for listener in listeners], file)
        return json.dumps(described)

    def disown(self) -> None:
        """Leave the files of Unix sockets to a successor."""
        for listener in self.every():
            if isinstance(listener, UnixListener):
                listener.file = NO_FILE

    def own(self) -> None:
        """Take over the files of Unix sockets from a predecessor, and close what is wanted no more."""
        for inherited in self._inherited.values():
            inherited.own()


def refuse_newcomers(listener: Any) -> None:
    """Have the kernel drop the segments that begin a connection, for everybody who has this TCP socket."""
    with suppress(OSError):  # no Linux: the chance of a reset is a small one
        listener.setsockopt(_socket.SOL_SOCKET, SO_ATTACH_FILTER, _PROGRAM)


class Inherited:
    """The sockets of a predecessor for one address."""

    def __init__(self, filenos: list[int], file: Sequence[Any]) -> None:
        self.filenos = filenos
        self.file = tuple(file)
        self.listener: Any = None
        for fileno in filenos:
            os.set_inheritable(fileno, False)

    def take(self) -> Any:
        """Return the next of them as a listening socket."""
        fileno = self.filenos.pop(0)
        if self.file == NO_FILE[:3]:
            listener = _socket.socket(fileno=fileno)
        else:
            listener = self.listener = UnixListener(fileno=fileno)
            listener.file = NO_FILE  # until the predecessor has let go of it
        listener.setblocking(False)
        return listener

    def own(self) -> None:
        """Be the one that removes the file; it does so now if nobody wants the socket."""
        if self.listener is None and self.filenos and self.file != NO_FILE[:3]:
            unwanted = self.take()
            unwanted.file = (*self.file, os.getpid())
            release_listener(unwanted)
        elif self.listener is not None:
            self.listener.file = (*self.file, os.getpid())
        self.close()

    def close(self) -> None:
        """Close those that nobody wants."""
        while self.filenos:
            os.close(self.filenos.pop())


def inherited_from(environ: Any) -> dict[str, Any]:
    """Take what a predecessor has described out of `environ`.  Raises ConfigError."""
    text = environ.pop(VARIABLE, "")
    try:
        return dict(json.loads(text)) if text else {}
    except (ValueError, TypeError):
        raise ConfigError(VARIABLE, text, "not what a master tells its successor") from None

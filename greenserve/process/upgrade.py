"""The upgrade (USR2): a new master from the command line of the old one, on the same sockets.

    old  fork, exec of the same command       the sockets are inherited
    new  "ready"                              all of its workers serve
    old  lets go: pid file, Unix socket files, MAINPID, then "yours"
    new  takes over what the old one let go
    old  drains its workers, and ends

If the new one ends before it is ready, the old one goes on as if nothing had been.
"""

from __future__ import annotations

import _socket
import os
import signal
import sys
from collections.abc import MutableMapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from greenserve.process import listening, systemd

if TYPE_CHECKING:
    from greenserve.process.master import Master

#: Tells a successor the descriptor on which it speaks with its predecessor.
VARIABLE = "GREENSERVE_UPGRADE"

READY, YOURS = b"ready\n", b"yours\n"

_fork = os.fork


@dataclass
class Heritage:
    """What this process was given by the one that has started it: taken out of the environment, once."""

    #: For each address the sockets of a predecessor, as `greenserve.process.listening` describes them.
    listeners: dict[str, Any] = field(default_factory=dict)
    #: Sockets of systemd.
    activated: list[int] = field(default_factory=list)
    predecessor: Predecessor | None = None

    @classmethod
    def take(cls, environ: MutableMapping[str, str]) -> Heritage:
        """Return what there is.  Raises ConfigError."""
        fileno = environ.pop(VARIABLE, "")
        listeners = listening.inherited_from(environ)
        predecessor = Predecessor(int(fileno)) if fileno.isdigit() and listeners else None
        return cls(listeners, systemd.inherited_listeners(), predecessor)

    def choose_bind(self, bind: tuple[str, ...], was_given: bool, notice: Any) -> tuple[str, ...]:
        """Return the addresses to listen on."""
        if self.listeners and not was_given:
            return tuple(self.listeners)
        return systemd.choose_bind(bind, was_given, self.activated, notice)


class Predecessor:
    """The new master's end of the conversation."""

    def __init__(self, fileno: int) -> None:
        self._channel = _socket.socket(fileno=fileno)
        os.set_inheritable(fileno, False)
        self._channel.setblocking(False)

    def fileno(self) -> int:
        """Return what becomes readable when the old master has let go, or is gone."""
        return self._channel.fileno()

    def say_ready(self) -> None:
        """Tell the old master that it may go."""
        with suppress(OSError):
            self._channel.send(READY)

    def has_let_go(self) -> bool:
        """Whether all is ours now."""
        try:
            self._channel.recv(len(YOURS))
        except BlockingIOError:
            return False
        except OSError:
            pass  # it is gone
        return True

    def close(self) -> None:
        self._channel.close()


class Upgrade:
    """The old master's side: the process `pid`, and what it says."""

    def __init__(self, master: Master, environ: MutableMapping[str, str]) -> None:
        """Start it.  Raises OSError where there is no process to be had."""
        own, other = _socket.socketpair()
        own.setblocking(False)
        self._channel = own
        self._is_ending = False
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError, ValueError, AttributeError):  # nobody reads it, or there is none
                stream.flush()
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        try:
            self.pid = _fork()
            if not self.pid:
                os.set_inheritable(other.fileno(), True)
                self._become_successor(master, {**environ, VARIABLE: str(other.fileno())})
        except OSError:
            own.close()
            raise
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
            other.close()

    def _become_successor(self, master: Master, environ: dict[str, str]) -> None:
        """Run the same command again, where it was started; never returns."""
        try:
            master.hooks.pre_exec(master)
            environ[listening.VARIABLE] = master.listeners.describe()
            systemd.hand_over(environ)
            os.chdir(master.source.folder)
            for number in master.commands.meaning:
                signal.signal(number, signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_SETMASK, ())
            os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], environ)
        except BaseException as error:  # noqa: B036  (no frame of the master's may run here)
            with suppress(BaseException):
                master.log.error("the new master cannot be started: %s", error)
        finally:
            os._exit(1)

    def fileno(self) -> int:
        """Return what becomes readable when the new master is ready, or gone."""
        return self._channel.fileno()

    def is_ready(self) -> bool:
        """Whether the new master serves, and is to go on."""
        try:
            return self._channel.recv(len(READY)) == READY and not self._is_ending
        except OSError:
            return False

    def end(self) -> None:
        """End the new master, too; told twice it would not let its requests end."""
        if not self._is_ending:
            self._is_ending = True
            with suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGTERM)

    def let_go(self) -> None:
        """Tell the new master that all is its own now."""
        with suppress(OSError):
            self._channel.send(YOURS)

    def close(self) -> None:
        self._channel.close()

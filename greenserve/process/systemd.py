"""What systemd and its services say to each other: sd_notify(3), sd_listen_fds(3), sd_watchdog_enabled(3).

Nothing here needs a library, and without systemd nothing happens.
"""

from __future__ import annotations

import _socket
import os
import time
from collections.abc import Callable, MutableMapping

from greenserve.errors import ConfigError

FIRST_DESCRIPTOR = 3  # SD_LISTEN_FDS_START
LISTEN_VARIABLES = ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES")
LARGEST_COUNT = 1024

#: Seconds that a message may wait for systemd to read what came before it.
PATIENCE = 1.0


def notify(**fields: object) -> bool:
    """Send `fields`, such as ``READY=1, STATUS="2 workers"``, as one message; return whether it was sent.

    Nothing is raised: a service without a supervisor, or with one that is gone, goes on.
    """
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):
        return False
    lines = [f"{name}={value}".replace("\n", " ") for name, value in fields.items()]
    # The C socket: it is the same in a patched process, where another one would make a hub.
    sock = _socket.socket(_socket.AF_UNIX, _socket.SOCK_DGRAM | _socket.SOCK_CLOEXEC, 0)
    try:
        sock.settimeout(PATIENCE)
        data = "\n".join(lines).encode("utf-8", "surrogateescape")
        sock.sendto(data, "\0" + address[1:] if address.startswith("@") else address)
    except OSError:
        return False
    finally:
        sock.close()
    return True


def reloading(status: str) -> bool:
    """Say that a reload begins, which the next READY=1 ends.

    The time tells it from an earlier one, and ``Type=notify-reload`` insists on it.
    """
    now = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    return notify(RELOADING=1, MONOTONIC_USEC=now, STATUS=status)


def extend_timeout(seconds: float) -> bool:
    """Ask for that much more time, from now on, for the start or stop that is under way."""
    return notify(EXTEND_TIMEOUT_USEC=int(seconds * 1_000_000))


def inherited_listeners() -> list[int]:
    """Return the descriptors of the sockets that systemd has bound, none without socket activation.

    They are ours only if LISTEN_PID is this process.  The variables are removed in any case, so that no
    child takes the sockets for its own, and the descriptors are closed on exec.  Raises ConfigError.
    """
    pid, count, _ = (os.environ.pop(name, "") for name in LISTEN_VARIABLES)
    if pid != str(os.getpid()) or not count:
        return []
    if not (count.isascii() and count.isdigit()) or int(count) > LARGEST_COUNT:
        raise ConfigError("LISTEN_FDS", count, "not a number of descriptors")
    found = list(range(FIRST_DESCRIPTOR, FIRST_DESCRIPTOR + int(count)))
    try:
        for fileno in found:
            os.set_inheritable(fileno, False)
    except OSError:
        raise ConfigError("LISTEN_FDS", count, "not all of these descriptors are there") from None
    return found


def choose_bind(
    bind: tuple[str, ...], was_given: bool, inherited: list[int], notice: Callable[[str], object]
) -> tuple[str, ...]:
    """Return the addresses to listen on: inherited sockets take the place of the default address only.

    Where addresses were given, those sockets are used that they name as fd://N; the others are mentioned in
    a `notice`, because whoever connects to them waits for ever.
    """
    passed = tuple(f"fd://{fileno}" for fileno in inherited)
    if passed and not was_given:
        return passed
    if left := [each for each in passed if each not in bind]:
        notice(f"systemd has passed sockets that no address names, and nobody serves: {', '.join(left)}")
    return bind


def watchdog_interval() -> float | None:
    """Return the seconds between two WATCHDOG=1, None where systemd does not watch this process.

    It is half of the time after which systemd takes us for dead, as sd_watchdog_enabled(3) advises.
    """
    timeout, pid = os.environ.get("WATCHDOG_USEC", ""), os.environ.get("WATCHDOG_PID", "")
    if pid not in ("", str(os.getpid())) or not (timeout.isascii() and timeout.isdigit()) or not int(timeout):
        return None
    return int(timeout) / 2_000_000


def hand_over(environ: MutableMapping[str, str]) -> None:
    """Change the environment of a successor, in it and before its exec: it is the one that is watched."""
    if "WATCHDOG_PID" in environ:
        environ["WATCHDOG_PID"] = str(os.getpid())

"""Listening sockets: bound to an address, inherited as a descriptor, or taken over from the caller.

Every listener is a `_socket.socket`, the C class below the standard library's and gevent's, which is
never patched: it is non-blocking, closed on exec, and its `_accept()` gives a bare descriptor.  Names
are resolved by the C function too, so that no hub is made before the server starts.

What the operator can do something about is a ListenError: one sentence with the address and the reason.
"""

from __future__ import annotations

import _socket
import errno
import grp
import os
import pwd
import stat
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from greenserve.errors import ConfigError, ListenError
from greenserve.net.address import Address, DescriptorAddress, TcpAddress, UnixAddress, format_address

BACKLOG = 2048

# This machine has no such address or no such family: the next one of a name may do.
NOT_HERE = frozenset({errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT, errno.EPROTONOSUPPORT})

REASONS = {
    errno.EADDRINUSE: "the address is in use already; stop its owner or choose another one",
    errno.EADDRNOTAVAIL: "this machine has no such address",
    errno.EAFNOSUPPORT: "this machine does not have this address family",
    errno.EMFILE: "the process has no descriptor left; raise its limit (ulimit -n)",
}


NO_FILE = ("", 0, 0, 0)  # no process has the number 0
KEEP_OWNER = (-1, -1)  # as os.chown() takes it


class UnixListener(_socket.socket):
    """A listening Unix socket that remembers the file it has made: its path, device, inode, and maker."""

    __slots__ = ("file",)

    file: tuple[str, int, int, int]


def bind_listener(
    address: Address,
    backlog: int = BACKLOG,
    unix_mode: int | None = None,
    unix_owner: str | None = None,
    reuse_port: bool = False,
) -> _socket.socket:
    """Return a listening socket at `address`; with `reuse_port` others may listen on the same TCP port.

    `unix_mode` (permission bits) and `unix_owner` (``user``, ``user:group``, ``:group``, names or numbers)
    are those of a Unix socket's file and say nothing about other sockets.  Connections inherit
    TCP_NODELAY from their listener.  Raises ListenError, and ConfigError where the owner is unknown.
    """
    if isinstance(address, TcpAddress):
        return _bind_tcp(address, backlog, reuse_port)
    if isinstance(address, UnixAddress):
        return _bind_unix(address, backlog, unix_mode, unix_owner)
    return _inherit(address)


def adopt_listener(sock: Any, backlog: int = BACKLOG) -> _socket.socket:
    """Return the C socket inside a bound stream socket of the caller, listening and non-blocking.

    `sock` is a socket of gevent, of the standard library, or of `_socket`.  The result is the caller's
    own (part of the) object: as with gevent's servers, closing the one closes the other, and neither is
    closed because the other is forgotten.  Raises TypeError for a TLS socket or none at all, ListenError
    for one that cannot listen, and OSError where it is closed.
    """
    if hasattr(sock, "do_handshake"):
        raise TypeError(f"Expected a regular socket, not SSLSocket: {sock!r}")
    inner = sock
    while hasattr(inner, "_sock"):  # raises EBADF for a closed one of gevent
        inner = inner._sock
    if not isinstance(inner, _socket.socket):
        raise TypeError(f"Expected a socket, not {sock!r}")
    if inner.type != _socket.SOCK_STREAM:
        raise ListenError(f"cannot listen on {sock!r}: it is not a stream socket")
    if not _is_listening(inner):
        _listen_on_bound(inner, backlog)
    _prepare_accepting(inner)
    return inner


def release_listener(sock: _socket.socket) -> None:
    """Close a listener.

    The file of a Unix listener is unlinked first, if this process made it and it is still the same file.
    """
    if isinstance(sock, UnixListener):
        _unlink_own(*sock.file)
    sock.close()


def _unlink_own(path: str, device: int, inode: int, maker: int) -> None:
    if maker != os.getpid():
        return  # a child that inherited the listener does not own the file
    try:
        found = os.lstat(path)
        if (found.st_dev, found.st_ino) == (device, inode):
            os.unlink(path)
    except OSError:
        pass  # gone already, or out of reach: the next server replaces it


def is_dual_stack(sock: _socket.socket) -> bool:
    """Whether an IPv6 socket takes IPv4 connections too."""
    return sock.family == _socket.AF_INET6 and not sock.getsockopt(_socket.IPPROTO_IPV6, _socket.IPV6_V6ONLY)


def open_sockets(pid: int) -> set[int] | None:
    """Return the inodes of the sockets that a process has open; None where the system does not say."""
    folder = f"/proc/{pid}/fd"
    try:
        names = os.listdir(folder)
    except OSError:  # no such system, or another user's process
        return None
    links = []
    for name in names:
        with suppress(OSError):  # closed meanwhile
            links.append(os.readlink(f"{folder}/{name}"))
    return {int(link[8:-1]) for link in links if link.startswith("socket:[")}


def listener_name(sock: _socket.socket) -> str:
    """Return where `sock` listens, for a log line: ``127.0.0.1:8000``, ``*:8000``, ``unix:/path``."""
    return format_address(sock.getsockname(), sock.family, is_dual_stack(sock))


def _bind_tcp(address: TcpAddress, backlog: int, reuse_port: bool) -> _socket.socket:
    """Listen on the first address of `address` that this machine has.

    One that is in use is an error, not a reason to try the next: the server would be somewhere else than
    its operator thinks.
    """
    refusal = OSError("the name has no address")
    for family, sockaddr in _candidates(address):
        listener = _listen_on_tcp(family, sockaddr, backlog, address.dual, reuse_port)
        if isinstance(listener, _socket.socket):
            return listener
        refusal = listener
        if refusal.errno not in NOT_HERE:
            break
    raise _listen_error(address, refusal)


def _candidates(address: TcpAddress) -> list[tuple[int, Any]]:
    if address.dual:
        # Where IPv6 is not to be had, IPv4 alone is what "every address" means.
        return [(_socket.AF_INET6, ("::", address.port)), (_socket.AF_INET, ("0.0.0.0", address.port))]
    try:
        found = _socket.getaddrinfo(
            address.host, address.port, _socket.AF_UNSPEC, _socket.SOCK_STREAM, 0, _socket.AI_PASSIVE
        )
    except (OSError, UnicodeError) as error:
        reason = error.args[-1] if isinstance(error, _socket.gaierror) else error
        raise ListenError(f"cannot listen on {address}: the host is not known ({reason})") from None
    # A name such as localhost has both; whoever connects to it tries IPv4, first or in the end.
    found.sort(key=lambda info: info[0] != _socket.AF_INET)
    return [(info[0], info[4]) for info in found]


def _listen_on_tcp(
    family: int, sockaddr: Any, backlog: int, dual: bool, reuse_port: bool
) -> _socket.socket | OSError:
    """Return a listening socket, or the error that says why there is none."""
    sock = None
    try:
        sock = _socket.socket(family, _socket.SOCK_STREAM, 0)
        sock.setsockopt(_socket.SOL_SOCKET, _socket.SO_REUSEADDR, 1)
        if reuse_port:
            sock.setsockopt(_socket.SOL_SOCKET, _socket.SO_REUSEPORT, 1)
        if family == _socket.AF_INET6:
            # Never left to the system: net.ipv6.bindv6only decides otherwise.
            sock.setsockopt(_socket.IPPROTO_IPV6, _socket.IPV6_V6ONLY, 0 if dual else 1)
        _prepare_accepting(sock)
        sock.bind(sockaddr)
        sock.listen(backlog)
    except OSError as error:
        if sock is not None:
            sock.close()
        return error
    return sock


def _prepare_accepting(sock: _socket.socket) -> None:
    sock.setblocking(False)
    if sock.family in (_socket.AF_INET, _socket.AF_INET6):
        sock.setsockopt(_socket.IPPROTO_TCP, _socket.TCP_NODELAY, 1)


def _listen_on_bound(sock: _socket.socket, backlog: int) -> None:
    name = sock.getsockname()
    if not name or (isinstance(name, tuple) and name[1] == 0):
        raise ListenError(f"cannot listen on {sock!r}: it is bound to no address")
    try:
        sock.listen(backlog)
    except OSError as error:
        raise _listen_error(format_address(name, sock.family), error) from None


def _is_listening(sock: _socket.socket) -> bool:
    return bool(sock.getsockopt(_socket.SOL_SOCKET, _socket.SO_ACCEPTCONN))


def _inherit(address: DescriptorAddress) -> _socket.socket:
    """Return a duplicate: whoever passed the descriptor on keeps it, and may close it, by its number."""
    try:
        fileno = os.dup(address.fileno)
    except (OSError, OverflowError):
        raise ListenError(f"cannot listen on {address}: there is no such descriptor") from None
    try:
        sock = _socket.socket(fileno=fileno)
    except OSError:
        os.close(fileno)
        raise ListenError(f"cannot listen on {address}: it is not a socket") from None
    if sock.type != _socket.SOCK_STREAM or not _is_listening(sock):
        sock.close()
        raise ListenError(f"cannot listen on {address}: it is not a listening stream socket")
    _prepare_accepting(sock)
    if address.fileno > 2:
        # A program that the application starts must not hold the port; the standard streams are its own.
        os.set_inheritable(address.fileno, False)
    return sock


def _bind_unix(address: UnixAddress, backlog: int, mode: int | None, owner: str | None) -> _socket.socket:
    owner_ids = _find_owner(owner)
    if not address.abstract:
        _remove_stale(address)
    sock = UnixListener(_socket.AF_UNIX, _socket.SOCK_STREAM, 0)
    sock.file = NO_FILE
    try:
        sock.setblocking(False)
        if address.abstract:
            sock.bind(address.sockname)
        else:
            _bind_file(sock, address.path, mode, owner_ids)
        sock.listen(backlog)
    except OSError as error:
        release_listener(sock)
        raise _listen_error(address, error) from None
    return sock


def _bind_file(sock: UnixListener, path: str, mode: int | None, owner_ids: tuple[int, int]) -> None:
    """Bind `sock` to a new file.  Until its owner and mode are set nobody else may use it."""
    private = mode is not None or owner_ids != KEEP_OWNER
    umask = os.umask(0o177) if private else 0
    try:
        sock.bind(path)
    finally:
        if private:
            os.umask(umask)
    made = os.lstat(path)
    sock.file = (os.path.abspath(path), made.st_dev, made.st_ino, os.getpid())
    if owner_ids != KEEP_OWNER:
        os.chown(path, *owner_ids, follow_symlinks=False)
    if private:
        os.chmod(path, 0o777 & ~umask if mode is None else mode)


def _remove_stale(address: UnixAddress) -> None:
    """Unlink the file that a server left behind.  Raises ListenError for a live one and for other files."""
    try:
        if not stat.S_ISSOCK(os.lstat(address.path).st_mode):
            raise ListenError(f"cannot listen on {address}: there is a file, and it is not a socket")
        refusal = _try_connecting(address)
        if refusal == errno.ECONNREFUSED:
            os.unlink(address.path)
    except FileNotFoundError:
        return
    except OSError as error:
        raise _listen_error(address, error) from None
    if refusal in (errno.EACCES, errno.EPERM):
        raise ListenError(f"cannot listen on {address}: there is a socket that may not be asked who it is")
    if refusal not in (errno.ECONNREFUSED, errno.ENOENT):
        raise ListenError(f"cannot listen on {address}: another process listens there")


def _try_connecting(address: UnixAddress) -> int:
    """Return the errno of a connect(), 0 where it succeeds; EAGAIN means that the queue is full."""
    sock = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM, 0)
    try:
        sock.setblocking(False)
        return sock.connect_ex(address.sockname)
    finally:
        sock.close()


def _find_owner(owner: str | None) -> tuple[int, int]:
    """Return the user and group numbers for chown()."""
    user, _, group = (owner or "").partition(":")
    return _find_number(owner, "user", user, pwd.getpwnam), _find_number(owner, "group", group, grp.getgrnam)


def _find_number(owner: str | None, kind: str, name: str, lookup: Callable[[str], Any]) -> int:
    if not name:
        return -1
    if name.isdecimal() and len(name) < 10:
        return int(name)
    try:
        return int(lookup(name)[2])  # the third field of both kinds of entries
    except KeyError:
        raise ConfigError("unix_owner", owner, f"there is no {kind} {name!r}") from None


def _listen_error(address: Address | str, error: OSError) -> ListenError:
    reason = REASONS.get(error.errno or 0) or error.strerror or str(error)
    if error.errno == errno.EACCES and isinstance(address, TcpAddress):
        reason = "ports below 1024 need a privilege (CAP_NET_BIND_SERVICE); choose a higher one"
    if error.errno == errno.EPERM and isinstance(address, UnixAddress):
        reason = "its file may not be given to that owner"
    refused = ListenError(f"cannot listen on {address}: {reason}")
    refused.errno = error.errno
    return refused

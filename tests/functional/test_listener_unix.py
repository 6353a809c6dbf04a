"""Listening Unix sockets: the file, its mode and its owner, before and after."""

from __future__ import annotations

import errno
import grp
import os
import pwd
import socket
import stat
from pathlib import Path
from typing import Any

import pytest

from greenserve.errors import ConfigError, ListenError
from greenserve.net.address import TcpAddress, UnixAddress
from greenserve.net.listener import bind_listener, listener_name, release_listener
from tests.listening import accept, connect, exchange


def test_a_unix_socket(bound: Any, tmp_path: Path) -> None:
    path = str(tmp_path / "app.sock")
    sock = bound(UnixAddress(path))
    assert exchange(sock, socket.AF_UNIX, path) == ("", "")
    assert listener_name(sock) == f"unix:{path}"
    assert sock.gettimeout() == 0
    assert not os.get_inheritable(sock.fileno())


def test_an_abstract_unix_socket_has_no_file(bound: Any, tmp_path: Path) -> None:
    name = f"@greenserve-test-{os.getpid()}"
    sock = bound(UnixAddress(name), unix_mode=0o600)
    assert exchange(sock, socket.AF_UNIX, "\0" + name[1:]) == ("", "")
    assert listener_name(sock) == f"unix:{name}"
    with pytest.raises(ListenError, match="in use"):
        bind_listener(UnixAddress(name))
    release_listener(sock)
    bound(UnixAddress(name))


def test_a_stale_file_is_replaced(bound: Any, tmp_path: Path) -> None:
    path = str(tmp_path / "app.sock")
    bound(UnixAddress(path)).close()
    assert os.path.exists(path)
    assert exchange(bound(UnixAddress(path)), socket.AF_UNIX, path) == ("", "")


def test_a_live_socket_is_an_error_and_stays_live(bound: Any, tmp_path: Path) -> None:
    path = str(tmp_path / "app.sock")
    live = bound(UnixAddress(path))
    with pytest.raises(ListenError, match="another process listens there"):
        bind_listener(UnixAddress(path))
    accept(live)[0].close()  # the question itself
    assert exchange(live, socket.AF_UNIX, path) == ("", "")


def test_a_live_socket_with_a_full_queue_is_an_error(bound: Any, tmp_path: Path) -> None:
    path = str(tmp_path / "app.sock")
    bound(UnixAddress(path), backlog=0)
    with connect(socket.AF_UNIX, path), pytest.raises(ListenError, match="another process listens there"):
        bind_listener(UnixAddress(path))


def test_a_file_of_another_kind_is_an_error_and_stays(tmp_path: Path) -> None:
    path = tmp_path / "app.sock"
    path.write_text("precious")
    with pytest.raises(ListenError, match="not a socket"):
        bind_listener(UnixAddress(str(path)))
    assert path.read_text() == "precious"


def test_a_link_to_a_socket_is_not_followed(bound: Any, tmp_path: Path) -> None:
    bound(UnixAddress(str(tmp_path / "app.sock"))).close()
    link = tmp_path / "link.sock"
    link.symlink_to(tmp_path / "app.sock")
    with pytest.raises(ListenError, match="not a socket"):
        bind_listener(UnixAddress(str(link)))


def test_a_live_datagram_socket_is_an_error(tmp_path: Path) -> None:
    path = str(tmp_path / "app.sock")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as other:
        other.bind(path)
        with pytest.raises(ListenError, match="another process"):
            bind_listener(UnixAddress(path))


def test_a_folder_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(ListenError, match=r"missing/app\.sock: No such file or directory"):
        bind_listener(UnixAddress(str(tmp_path / "missing" / "app.sock")))


@pytest.mark.parametrize("mode", [0o600, 0o660, 0o666, 0o777])
def test_the_mode_does_not_depend_on_the_umask(bound: Any, tmp_path: Path, mode: int) -> None:
    path = tmp_path / "app.sock"
    umask = os.umask(0o027)
    try:
        bound(UnixAddress(str(path)), unix_mode=mode)
    finally:
        assert os.umask(umask) == 0o027
    assert stat.S_IMODE(path.stat().st_mode) == mode


def test_without_a_mode_the_umask_decides(bound: Any, tmp_path: Path) -> None:
    plain, owned = tmp_path / "plain.sock", tmp_path / "owned.sock"
    umask = os.umask(0o027)
    try:
        bound(UnixAddress(str(plain)))
        bound(UnixAddress(str(owned)), unix_owner=str(os.getuid()))
    finally:
        os.umask(umask)
    assert stat.S_IMODE(plain.stat().st_mode) == stat.S_IMODE(owned.stat().st_mode) == 0o750


def test_mode_and_owner_are_set_before_it_listens(
    bound: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = str(tmp_path / "app.sock")
    refusals = []
    chmod = os.chmod

    def chmod_and_try(*arguments: Any) -> None:
        assert stat.S_IMODE(os.stat(path).st_mode) & 0o077 == 0
        chmod(*arguments)
        with pytest.raises(ConnectionRefusedError) as refused:
            connect(socket.AF_UNIX, path)
        refusals.append(refused.value)

    monkeypatch.setattr(os, "chmod", chmod_and_try)
    bound(UnixAddress(path), unix_mode=0o666, unix_owner=str(os.getuid()))
    assert len(refusals) == 1


def test_the_owner_by_name_and_by_number(bound: Any, tmp_path: Path) -> None:
    user, group = pwd.getpwuid(os.getuid()).pw_name, grp.getgrgid(os.getgid()).gr_name
    for number, owner in enumerate([user, f"{user}:{group}", f":{group}", f"{os.getuid()}:{os.getgid()}"]):
        path = tmp_path / f"{number}.sock"
        bound(UnixAddress(str(path)), unix_owner=owner)
        assert (path.stat().st_uid, path.stat().st_gid) == (os.getuid(), os.getgid())


@pytest.mark.parametrize(
    ("owner", "reason"),
    [
        ("no-such-user", "no user 'no-such-user'"),
        (":no-such-group", "no group 'no-such-group'"),
        ("99999999999999999999", "no user '99999999999999999999'"),
    ],
)
def test_an_unknown_owner_is_a_config_error(tmp_path: Path, owner: str, reason: str) -> None:
    path = tmp_path / "app.sock"
    with pytest.raises(ConfigError, match=reason):
        bind_listener(UnixAddress(str(path)), unix_owner=owner)
    assert not path.exists()


def test_an_owner_that_is_not_permitted_leaves_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*arguments: Any, **options: Any) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    path = tmp_path / "app.sock"
    monkeypatch.setattr(os, "chown", refuse)
    with pytest.raises(ListenError, match=r"app\.sock: its file may not be given to that owner"):
        bind_listener(UnixAddress(str(path)), unix_owner="0:0")
    assert not path.exists()


def test_release_unlinks_the_file_and_closes(bound: Any, tmp_path: Path) -> None:
    path = tmp_path / "app.sock"
    sock = bound(UnixAddress(str(path)))
    release_listener(sock)
    assert not path.exists()
    assert sock.fileno() == -1
    release_listener(sock)


def test_release_leaves_the_file_of_a_successor(bound: Any, tmp_path: Path) -> None:
    path = tmp_path / "app.sock"
    old = bound(UnixAddress(str(path)))
    path.rename(tmp_path / "moved.sock")  # so that the successor cannot get the same inode
    new = bound(UnixAddress(str(path)))
    release_listener(old)
    assert exchange(new, socket.AF_UNIX, str(path)) == ("", "")


def test_release_finds_a_relative_path_after_a_change_of_folder(
    bound: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    sock = bound(UnixAddress("app.sock"))
    monkeypatch.chdir("/")
    release_listener(sock)
    assert not (tmp_path / "app.sock").exists()


def test_release_in_another_process_leaves_the_file(
    bound: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "app.sock"
    sock = bound(UnixAddress(str(path)))
    with monkeypatch.context() as child:
        child.setattr(os, "getpid", lambda: -1)
        release_listener(sock)
    assert path.exists()


def test_release_of_a_tcp_listener_closes_it(bound: Any) -> None:
    sock = bound(TcpAddress("127.0.0.1", 0))
    address = sock.getsockname()
    release_listener(sock)
    with pytest.raises(ConnectionRefusedError):
        connect(socket.AF_INET, address)

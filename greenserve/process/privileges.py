"""Who the process runs as: user, groups and umask, given up for good."""

from __future__ import annotations

import errno
import grp
import os
import pwd
from dataclasses import dataclass, replace

from greenserve.errors import ConfigError

#: What uid_t and gid_t hold; the last one means "leave it" (setresuid(2)).
LARGEST_ID = 2**32 - 2


@dataclass(frozen=True)
class Identity:
    """Numbers of a user and of a group, None where it stays as it is; `name` is the user's, if it has one."""

    uid: int | None = None
    gid: int | None = None
    name: str | None = None


def find(user: str | None, group: str | None) -> Identity:
    """Return who `user` and `group` are, names or numbers; the group of a user is its own unless given.

    Raises ConfigError for one that does not exist; a number need not have a name.
    """
    identity = Identity() if user is None else find_user(user)
    if group is not None:
        identity = replace(identity, gid=find_group(group))
    if identity.uid is not None and identity.gid is None:
        raise ConfigError("user", user, "it has no entry that says its group; give the group, too")
    return identity


def find_user(user: str) -> Identity:
    """Return the number, the group and the name of a user, the latter two if it has an entry."""
    number = number_in("user", user)
    try:
        entry = pwd.getpwnam(user) if number is None else pwd.getpwuid(number)
    except KeyError:
        if number is None:
            raise ConfigError("user", user, "there is no such user") from None
        return Identity(number)
    return Identity(entry.pw_uid, entry.pw_gid, entry.pw_name)


def find_group(group: str) -> int:
    """Return the number of a group.  Raises ConfigError."""
    number = number_in("group", group)
    try:
        return grp.getgrnam(group).gr_gid if number is None else number
    except KeyError:
        raise ConfigError("group", group, "there is no such group") from None


def number_in(option: str, text: str) -> int | None:
    """Return the number that `text` is, None for a name.  Raises ConfigError for one that no account has."""
    if not (text.isascii() and text.isdigit()):
        return None
    if int(text) > LARGEST_ID:
        raise ConfigError(option, text, f"more than {LARGEST_ID}")
    return int(text)


def drop(user: str | None = None, group: str | None = None, umask: int | None = None) -> None:
    """Become `user` and `group`, with their supplementary groups, for good, and set the umask.

    To be called when the sockets are bound, and before the application is imported.  Nothing is asked of
    the system where the process is who it should be, so that a service that was started under its own user
    may name it.  Raises ConfigError.
    """
    identity = find(user, group)
    if umask is not None:
        os.umask(umask)
    is_user = identity.uid is not None and os.getresuid() == (identity.uid,) * 3
    if is_user and identity.uid != 0 and group is None:
        return
    if identity.gid is not None and (os.geteuid() == 0 or os.getresgid() != (identity.gid,) * 3):
        become_group(identity, user, group)
    if identity.uid is not None:
        try:
            os.setresuid(identity.uid, identity.uid, identity.uid)
        except OSError as error:
            raise refusal("user", user, error) from None


def become_group(identity: Identity, user: str | None, group: str | None) -> None:
    """Take on the groups of an identity.  Raises ConfigError."""
    assert identity.gid is not None
    try:
        # Without this root's own groups would stay, and with them what they may read.
        if identity.name is not None:
            os.initgroups(identity.name, identity.gid)
        elif identity.uid is not None:
            os.setgroups([identity.gid])
        os.setresgid(identity.gid, identity.gid, identity.gid)
    except OSError as error:
        raise (refusal("user", user, error) if group is None else refusal("group", group, error)) from None


def refusal(option: str, value: str | None, error: OSError) -> ConfigError:
    """Return the error for an identity that the system does not give."""
    reason = (
        "only root may run as somebody else" if error.errno == errno.EPERM else error.strerror or str(error)
    )
    return ConfigError(option, value, reason)

"""User, group and umask: found by name or number, taken on for good, refused with a reason."""

from __future__ import annotations

import grp
import json
import os
import pwd
import subprocess
import sys

import pytest

from greenserve.errors import ConfigError
from greenserve.process.privileges import LARGEST_ID, Identity, drop, find

ME = pwd.getpwuid(os.getuid())
NOBODY = pwd.getpwnam("nobody")
#: A number that no account has.
FREE = max(entry.pw_uid for entry in pwd.getpwall() if entry.pw_uid != NOBODY.pw_uid) + 4321
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root may run as somebody else")

PROBE = """
import json, os, sys
from greenserve.errors import ConfigError
from greenserve.process.privileges import drop
for arguments in json.loads(sys.argv[1]):
    try:
        drop(*arguments)
    except ConfigError as error:
        print(json.dumps(str(error)))
        continue
    umask = os.umask(0)
    os.umask(umask)
    print(json.dumps([os.getresuid(), os.getresgid(), sorted(os.getgroups()), umask]))
"""


def dropped(*steps):
    """Return what a process is, or is told, after each of `steps`, the arguments of drop()."""
    command = [sys.executable, "-c", PROBE, json.dumps(steps)]
    result = subprocess.run(command, capture_output=True, text=True, check=True, umask=0o022)
    return [json.loads(line) for line in result.stdout.splitlines()]


def refusal(user=None, group=None):
    with pytest.raises(ConfigError) as refused:
        find(user, group)
    return str(refused.value)


# -- who that is


def test_nobody_in_particular_is_nobody_else():
    assert find(None, None) == Identity()


def test_a_user_by_name_or_number_brings_its_group():
    assert find("nobody", None) == Identity(NOBODY.pw_uid, NOBODY.pw_gid, "nobody")
    assert find(str(NOBODY.pw_uid), None) == Identity(NOBODY.pw_uid, NOBODY.pw_gid, "nobody")


def test_a_group_by_name_or_number():
    entry = grp.getgrall()[-1]
    assert find(None, entry.gr_name) == Identity(gid=entry.gr_gid)
    assert find(None, str(entry.gr_gid)) == Identity(gid=entry.gr_gid)
    assert find("nobody", entry.gr_name) == Identity(NOBODY.pw_uid, entry.gr_gid, "nobody")


def test_a_number_needs_no_account_but_then_a_group():
    assert find(str(FREE), "77777") == Identity(FREE, 77777)
    assert refusal(str(FREE)) == f"user: '{FREE}': it has no entry that says its group; give the group, too"


@pytest.mark.parametrize(
    ("user", "group", "message"),
    [
        ("no-such-user", None, "user: 'no-such-user': there is no such user"),
        (None, "no-such-group", "group: 'no-such-group': there is no such group"),
        (str(LARGEST_ID + 1), None, f"user: '{LARGEST_ID + 1}': more than {LARGEST_ID}"),
        (None, str(LARGEST_ID + 1), f"group: '{LARGEST_ID + 1}': more than {LARGEST_ID}"),
    ],
)
def test_who_does_not_exist_is_named(user, group, message):
    assert refusal(user, group) == message


# -- becoming it


def test_the_umask_alone_needs_no_privilege():
    before = os.umask(0o022)
    try:
        drop(umask=0o027)
        assert os.umask(0o022) == 0o027
        drop()
        assert os.umask(0o022) == 0o022
    finally:
        os.umask(before)


@as_root
def test_root_becomes_somebody_with_their_groups_and_not_roots():
    uid, gid = NOBODY.pw_uid, NOBODY.pw_gid
    groups = sorted(os.getgrouplist("nobody", gid))
    assert dropped(["nobody", None, 0o077]) == [[[uid] * 3, [gid] * 3, groups, 0o077]]
    assert dropped(["nobody", "54321"]) == [
        [[uid] * 3, [54321] * 3, sorted(os.getgrouplist("nobody", 54321)), 0o022]
    ]
    assert dropped([str(FREE), "54321"]) == [[[FREE] * 3, [54321] * 3, [54321], 0o022]]


@as_root
def test_a_group_alone_leaves_the_user():
    [[uids, gids, groups, _]] = dropped([None, "54321"])
    assert (uids, gids, groups) == ([0] * 3, [54321] * 3, sorted(os.getgroups()))


@as_root
def test_there_is_no_way_back_and_what_is_already_so_is_no_error():
    group = grp.getgrgid(NOBODY.pw_gid).gr_name
    first, *others = dropped(
        ["nobody", None],
        ["nobody", None],
        ["nobody", group],
        [None, group],
        ["root", None],
        [str(FREE), group],
        [None, "54321"],
        ["nobody", "54321"],
    )
    assert others[:3] == [first] * 3
    assert others[3] == "user: 'root': only root may run as somebody else"
    assert others[4] == f"user: '{FREE}': only root may run as somebody else"
    assert others[5:] == ["group: '54321': only root may run as somebody else"] * 2


@as_root
def test_a_service_that_runs_under_its_own_user_with_another_group_may_name_it():
    first, second = dropped(["nobody", "54321"], ["nobody", None])
    assert second == first

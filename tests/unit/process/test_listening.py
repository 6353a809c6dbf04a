"""The sockets of a master: which worker gets which, and what a successor inherits."""

from __future__ import annotations

import json
import os

import pytest

from greenserve.config import Config
from greenserve.errors import ConfigError, ListenError
from greenserve.net.listener import UnixListener
from greenserve.process.listening import VARIABLE, ListenerSets, inherited_from

LOCAL = "127.0.0.1:0"


def opened(*bind, count=1, reuse_port=False):
    sets = ListenerSets(bind or (LOCAL,), Config.from_keywords(reuse_port=reuse_port))
    sets.open(count)
    return sets


def test_shared_sockets_are_the_same_for_all():
    sets = opened(LOCAL, LOCAL, count=3)
    assert len(sets.sets) == 1
    assert sets.of(0, 3) == sets.of(2, 3) == sets.sets[0]
    sets.close()


def test_each_position_has_a_set_and_all_listen_at_the_same_place():
    sets = opened(count=3, reuse_port=True)
    assert len({each[0].fileno() for each in sets.sets}) == 3
    assert len({each[0].getsockname() for each in sets.sets}) == 1
    assert [sets.of(position, 3) for position in range(3)] == sets.sets
    sets.close()


def test_with_fewer_positions_no_set_is_left_out():
    sets = opened(count=5, reuse_port=True)
    shares = [sets.of(position, 2) for position in range(2)]
    assert [len(share) for share in shares] == [3, 2]
    assert {each for share in shares for each in share} == set(sets.every())
    sets.close()


def test_a_unix_socket_is_in_every_set(tmp_path):
    path = tmp_path / "socket"
    sets = opened(LOCAL, f"unix:{path}", count=2, reuse_port=True)
    assert sets.sets[0][1] is sets.sets[1][1]
    assert len(sets.of(0, 1)) == 3
    assert len(sets.every()) == 3
    sets.close()
    assert not path.exists()


def test_all_are_bound_or_none(tmp_path):
    path = tmp_path / "socket"
    sets = ListenerSets((f"unix:{path}", "fd://987654"), Config())
    with pytest.raises(ListenError):
        sets.open(1)
    assert not path.exists()


def test_a_successor_listens_with_the_same_sockets(tmp_path):
    path = tmp_path / "socket"
    bind = (LOCAL, f"unix:{path}")
    old = opened(*bind)
    environ = {VARIABLE: pass_on(old), "OTHER": "stays"}
    inherited = inherited_from(environ)
    assert environ == {"OTHER": "stays"}
    new = ListenerSets(bind, Config(), inherited)
    new.open(1)
    assert new.names == old.names
    assert not any(os.get_inheritable(listener.fileno()) for listener in new.every())
    old.disown()
    old.close()
    assert path.exists()  # it is the new one's
    assert new.sets[0][0].getsockname()[1]
    new.own()
    new.close()
    assert not path.exists()


def test_until_it_owns_the_file_a_successor_leaves_it(tmp_path):
    path = tmp_path / "socket"
    old = opened(f"unix:{path}")
    new = ListenerSets(old.bind, Config(), json.loads(pass_on(old)))
    new.open(1)
    new.close()
    assert path.exists()
    assert isinstance(old.every()[0], UnixListener)
    old.close()
    assert not path.exists()


def pass_on(sets):
    """Return what a successor is told, as if the descriptors had been inherited: they are duplicates."""
    described = json.loads(sets.describe())
    for value in described.values():
        value[0] = [os.dup(fileno) for fileno in value[0]]
    for listener in sets.every():
        os.set_inheritable(listener.fileno(), False)
    return json.dumps(described)


@pytest.mark.parametrize("text", ["{", "5", '"x"'])
def test_what_no_master_has_said_is_an_error(text):
    with pytest.raises(ConfigError, match=VARIABLE):
        inherited_from({VARIABLE: text})


def test_without_a_predecessor_nothing_is_inherited():
    assert inherited_from({}) == {}


@pytest.mark.parametrize("reuse_port", [True, False])
def test_a_successor_leaves_no_queue_without_a_worker(reuse_port):
    old = opened(LOCAL, count=4, reuse_port=True)
    new = ListenerSets((LOCAL,), Config.from_keywords(reuse_port=reuse_port), json.loads(pass_on(old)))
    new.open(2)
    assert len(new.every()) == 4
    shares = [new.of(position, 2) for position in range(2)]
    if reuse_port:
        assert [len(share) for share in shares] == [2, 2]
    assert {each for share in shares for each in share} == set(new.every())
    new.close()
    old.close()


def test_a_successor_with_one_socket_more_shares_that():
    old = opened(LOCAL, count=3, reuse_port=True)
    other = "127.0.0.2:0"
    new = ListenerSets((LOCAL, other), Config(), json.loads(pass_on(old)))
    new.open(1)
    assert len(new.every()) == 4
    assert new.of(0, 1) == new.every()
    new.close()
    old.close()


def test_what_a_successor_does_not_want_is_closed_when_all_is_its_own(tmp_path):
    path = tmp_path / "socket"
    old = opened(LOCAL, "127.0.0.2:0", f"unix:{path}")
    described = json.loads(pass_on(old))
    unwanted = [filenos[0] for filenos, _ in list(described.values())[1:]]
    new = ListenerSets((LOCAL,), Config(), described)
    new.open(1)
    old.disown()
    for fileno in unwanted:
        os.fstat(fileno)
    assert path.exists()
    new.own()
    for fileno in unwanted:
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(fileno)
    assert not path.exists()
    new.close()
    old.close()

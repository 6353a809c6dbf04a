"""The board: what is written in one process is read in another, and only those who accept are compared."""

from __future__ import annotations

import os

from greenserve.process.board import CLOSED, SEATS, Board


def test_a_new_board_has_nobody_who_accepts():
    assert Board().lowest_load() == CLOSED


def test_the_lowest_load_is_that_of_a_worker_that_accepts():
    board = Board()
    for seat, load in ((0, 7), (1, 3), (5, 9)):
        board.take(seat)
        board.publish_load(seat, load)
    assert board.lowest_load() == 3
    board.leave(1)
    assert board.lowest_load() == 7
    board.publish_load(1, CLOSED)
    assert board.lowest_load() == 7


def test_a_seat_that_is_taken_again_knows_nothing_of_the_last_worker():
    board = Board()
    board.take(4)
    board.publish_load(4, 1)
    board.announce_successor(4)
    board.take(4)
    assert board.load(4) == CLOSED
    assert not board.has_successor(4)


def test_the_seats_do_not_touch_each_other():
    board = Board()
    for seat in (0, SEATS - 2, SEATS - 1):
        board.take(seat)
        board.publish_load(seat, seat)
    board.announce_successor(SEATS - 2)
    board.beat(SEATS - 1)
    assert [board.load(seat) for seat in (0, SEATS - 2, SEATS - 1)] == [0, SEATS - 2, SEATS - 1]
    assert [board.has_successor(seat) for seat in (0, SEATS - 2, SEATS - 1)] == [False, True, False]


def test_a_child_and_its_parent_see_the_same_board():
    board = Board()
    board.take(2)
    before = board.last_beat(2)
    pid = os.fork()
    if not pid:
        board.beat(2)
        board.publish_load(2, 42)
        os._exit(0)
    os.waitpid(pid, 0)
    assert board.load(2) == 42
    assert board.last_beat(2) > before


def test_who_rests_is_not_late():
    board = Board()
    board.take(2)
    board.rest(2)
    assert board.last_beat(2) == float("inf")
    board.take(2)
    assert board.last_beat(2) < float("inf")

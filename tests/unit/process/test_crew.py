"""The crew: how many workers of which generation there are after each event.  No process is made."""

from __future__ import annotations

import signal

import pytest

from greenserve.process import crew as module
from greenserve.process.crew import Crew, expendable
from greenserve.process.flight import APPLICATION
from greenserve.process.handle import BOOTING, RETIRING
from tests.unit.process.crews import FINE, FakeMaster, be_ready, die, generation, made


@pytest.fixture
def master(monkeypatch):
    return FakeMaster(monkeypatch)


def ages(crew):
    return [worker.age for worker in crew.workers.values() if worker.alive]


def turn(crew, now=3.0):
    crew.advance(now)
    crew.recycle()
    crew.fill(now)


def test_what_is_missing_is_started_and_nothing_more(master):
    crew = Crew(master, generation(wanted=3))
    crew.fill(0.0)
    crew.fill(0.0)
    assert ages(crew) == [1, 2, 3]
    assert [worker.seat for worker in crew.workers.values()] == [0, 1, 2]
    assert all(worker.state is BOOTING for worker in crew.workers.values())


def test_a_dead_worker_is_replaced_on_its_seat_after_the_delay(master):
    crew = made(master)
    first = next(iter(crew.workers.values()))
    die(crew, first, now=2.0)
    crew.fill(2.0)
    assert ages(crew) == [2]
    assert crew.next_deadline(2.0) == pytest.approx(2.1)
    crew.fill(2.2)
    assert ages(crew) == [2, 3]
    assert [worker.seat for worker in crew.workers.values()] == [1, 0]
    assert "worker 1 (process 1001) was ended by SIGKILL, 2.0 s after its start" in master.log.errors[0]


def test_delays_double_up_to_the_longest_and_a_long_life_ends_them(master):
    crew = made(master, wanted=1)
    delays = []
    now = 2.0
    for _ in range(9):
        die(crew, next(iter(crew.workers.values())), now=now)
        delays.append(crew._start_at - now)
        now = crew._start_at
        crew.fill(now)
    assert delays == pytest.approx([0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 10.0, 10.0])
    die(crew, next(iter(crew.workers.values())), now=now + 31)
    crew.fill(now + 31)
    assert len(ages(crew)) == 1


def test_workers_that_were_ready_come_back_sooner(master):
    crew = made(master, wanted=1)
    now = 2.0
    for _ in range(8):
        die(crew, next(iter(crew.workers.values())), now=now)
        last, now = now, crew._start_at
        crew.fill(now)
        be_ready(crew, now)
    assert now - last == pytest.approx(1.0)


def test_a_worker_that_fails_before_any_was_ready_is_the_failure_of_the_start(master):
    crew = Crew(master, generation())
    crew.fill(0.0)
    die(crew, next(iter(crew.workers.values())), status=3 << 8)
    assert crew.failure is not None
    assert (crew.failure.status, crew.failure.message) == (
        4,
        "worker 1 (process 1001) ended with the status 3 before it was ready",
    )


def test_a_reload_retires_the_old_ones_one_after_the_other_when_all_new_ones_are_ready(master):
    crew = made(master)
    crew.coming = generation(2)
    turn(crew)
    assert ages(crew) == [1, 2, 3, 4]
    crew.workers[1003].become_ready(3.0)
    turn(crew)
    assert ages(crew) == [1, 2, 3, 4]  # one of the new ones is not ready yet
    crew.workers[1004].become_ready(3.0)
    turn(crew)
    assert ages(crew) == [2, 3, 4]
    assert crew.board.has_successor(crew.workers[1001].seat)
    turn(crew)
    assert ages(crew) == [2, 3, 4]
    die(crew, crew.workers[1001], FINE)
    turn(crew)
    assert ages(crew) == [3, 4]
    assert crew.current.number == 2
    assert master.ended == ["reloaded: 2 workers of generation 2"]


def test_an_old_worker_that_takes_long_does_not_hold_up_the_others_for_ever(master):
    crew = made(master)
    crew.coming = generation(2)
    turn(crew)
    be_ready(crew)
    turn(crew, 3.0)
    turn(crew, 4.5)
    assert ages(crew) == [3, 4]


def test_a_new_generation_that_fails_is_given_up_and_the_old_one_stays(master):
    crew = made(master)
    crew.coming = generation(2)
    turn(crew)
    crew.workers[1003].become_ready(3.0)
    die(crew, crew.workers[1004], status=4 << 8)
    turn(crew)
    assert ages(crew) == [1, 2]
    assert crew.coming is None and crew.current.number == 1
    assert "the reload has failed, the old workers go on: worker 4 (process 1004)" in master.log.errors[0]


def test_an_old_worker_that_dies_during_a_reload_is_replaced(master):
    crew = made(master)
    crew.coming = generation(2)
    turn(crew)
    die(crew, crew.workers[1001], now=3.0)
    turn(crew, 4.0)
    assert [worker.age for worker in crew.of(crew.current)] == [2, 5]


def test_the_successor_of_a_recycled_worker_is_ready_before_that_is_told_to_end(master):
    crew = made(master)
    crew.workers[1001].reason = crew.workers[1002].reason = "why not"
    turn(crew)
    assert ages(crew) == [1, 2, 3]
    turn(crew)
    assert ages(crew) == [1, 2, 3]
    crew.workers[1003].become_ready(3.0)
    turn(crew)
    assert ages(crew) == [2, 3]
    turn(crew)
    assert ages(crew) == [2, 3]  # never two at once
    die(crew, crew.workers[1001], FINE)
    turn(crew)
    assert ages(crew) == [2, 3, 4]


def test_a_recycled_worker_that_dies_first_is_replaced_by_its_successor(master):
    crew = made(master)
    crew.workers[1001].reason = "why not"
    turn(crew)
    die(crew, crew.workers[1001])
    turn(crew, 9.0)
    assert ages(crew) == [2, 3]


def test_fewer_workers_spare_those_that_boot_and_then_the_oldest(master):
    crew = made(master, wanted=3)
    crew.current.wanted = 4
    crew.fill(3.0)
    crew.current.wanted = 2
    crew.fill(3.0)
    assert ages(crew) == [2, 3]
    assert {pid for pid, _ in master.signals} == {1001, 1004}


def test_with_sockets_of_their_own_the_last_position_goes_first(master):
    crew = made(master, wanted=3, reuse_port=True)
    assert [worker.position for worker in sorted(crew.workers.values(), key=expendable)] == [2, 1, 0]


def test_asleep_nothing_is_started(master):
    crew = made(master)
    crew.is_asleep = True
    crew.retire_all(last=False)
    turn(crew)
    assert ages(crew) == []
    assert len(crew.workers) == 2


def test_the_last_stop_leaves_no_successor(master):
    crew = made(master)
    crew.retire_all()
    assert not any(crew.board.has_successor(worker.seat) for worker in crew.workers.values())
    assert master.signals == [(1001, signal.SIGTERM), (1002, signal.SIGTERM)]


def test_a_missed_beat_is_answered_with_abort_then_kill(master):
    crew = made(master, timeout=5)
    crew.board._beats[0] = crew.board._beats[1] = 10.0
    assert crew.next_deadline(11.0) == 15.0
    crew.board._beats[1] = 12.0
    crew.enforce(15.0)
    assert master.signals == [(1001, signal.SIGABRT), (1001, signal.SIGCONT)]
    crew.enforce(16.0)
    assert master.signals[2:] == [(1001, signal.SIGKILL)]
    assert crew.workers[1002].alive


def test_what_a_worker_has_in_hand_is_said_again_only_where_it_is_something_else(master):
    crew = made(master, wanted=1, timeout=30)
    worker = crew.workers[1001]
    first = worker.recorder.begin(b"127.0.0.1:5", b"GET /a HTTP/1.1", APPLICATION)
    for times, what in ((1, "is"), (1, "was")):
        crew.tell_flight(worker, f"it {what} serving")
        assert [line.split("\n")[1].split(" ")[1] for line in master.log.errors] == times * ["/a"]
    second = worker.recorder.begin(b"127.0.0.1:5", b"GET /b HTTP/1.1", APPLICATION)
    worker.recorder.end(first)
    crew.tell_flight(worker, "it was serving")
    assert "GET /b" in master.log.errors[1]
    worker.recorder.end(second)
    crew.tell_flight(worker, "it was serving")
    assert len(master.log.errors) == 2


def test_a_master_that_was_late_itself_gives_them_time(master):
    crew = made(master, timeout=5)
    crew.board._beats[0] = crew.board._beats[1] = 10.0
    crew.be_lenient(100.0)
    crew.enforce(100.5)
    assert master.signals == []
    assert crew.next_deadline(100.5) == 102.0
    crew.enforce(102.0)
    assert len(master.signals) == 4


def test_without_a_timeout_there_is_no_deadline(master):
    crew = made(master, timeout=0)
    crew.board._beats[0] = crew.board._beats[1] = 0.0
    assert crew.next_deadline(1e6) == float("inf")


def test_a_worker_that_does_not_end_is_killed_after_the_graceful_timeout(master):
    crew = made(master, graceful_timeout=7)
    worker = crew.workers[1001]
    crew.retire(worker)
    assert worker.state is RETIRING
    crew.board._beats[0] = worker.kill_at - 1
    crew.enforce(worker.kill_at - 0.1)
    assert master.signals == [(1001, signal.SIGTERM)]
    crew.enforce(worker.kill_at)
    assert master.signals[1:] == [(1001, signal.SIGKILL)]


def test_one_that_stands_still_by_then_shows_first_what_it_is_doing(master):
    crew = made(master, graceful_timeout=7)
    worker = crew.workers[1001]
    crew.retire(worker)
    crew.board._beats[0] = worker.kill_at - 3
    now = worker.kill_at
    crew.enforce(now)
    assert [number for _, number in master.signals[1:]] == [signal.SIGABRT, signal.SIGCONT]
    assert "did not end in time and stands still" in master.log.errors[0]
    crew.enforce(now + 0.9)
    crew.enforce(now + 1.1)
    assert master.signals[3:] == [(1001, signal.SIGKILL)]
    die(crew, worker)
    assert len(master.log.errors) == 1 and crew._start_at == 0.0  # it was to end: nothing is put off


@pytest.mark.parametrize(("rests", "signals"), [(False, [signal.SIGABRT, signal.SIGCONT]), (True, [])])
def test_one_that_drains_may_not_stand_still_until_it_rests(master, rests, signals):
    crew = made(master, graceful_timeout=0, timeout=5)
    worker = crew.workers[1001]
    crew.retire(worker)
    now = crew.board.last_beat(0) + 6
    crew.board._beats[1] = now
    if rests:
        crew.board.rest(0)
    crew.enforce(now)
    crew.enforce(now + 0.5)  # once is enough
    assert master.signals[1:] == [(1001, number) for number in signals]


def test_foreign_children_are_reaped(master):
    crew = made(master)
    master.dead += [(5, 0), (6, 9)]
    crew.reap(2.0)
    assert master.ended == [5, 6]
    assert len(crew.workers) == 2


def test_age_is_a_reason(master):
    crew = made(master, max_worker_age=60, timeout=0)
    assert crew.next_deadline(2.0) == 61.0
    crew.enforce(61.0)
    assert crew.workers[1001].reason == "it is 60 s old"


def test_without_a_seat_no_worker_is_started_until_one_has_ended(master, monkeypatch):
    monkeypatch.setattr(module, "SEATS", 2)
    crew = made(master, wanted=2)
    crew.current.wanted = 3
    crew.fill(2.0)
    assert ages(crew) == [1, 2]
    assert master.log.errors == ["no seat for another worker: 2 have not ended yet"]
    crew.fill(2.05)
    assert len(master.log.errors) == 1
    die(crew, crew.workers[1001], FINE, now=2.1)
    crew.fill(20.0)
    assert ages(crew) == [2, 3]


def test_a_process_that_cannot_be_had_is_asked_for_later(master, monkeypatch):
    def refuse(worker):
        raise OSError("Resource temporarily unavailable")

    crew = Crew(master, generation(wanted=4))
    with monkeypatch.context() as patched:
        patched.setattr(master, "fork", refuse)
        crew.fill(1.0)
    assert len(master.log.errors) == 1  # not once for each of them
    crew.fill(1.05)
    assert not crew.workers
    crew.fill(1.2)
    assert len(crew.workers) == 4


def test_asleep_it_turns_and_else_a_worker_has_to(master):
    crew = made(master, timeout=5)
    late = crew.board.last_beat(0) + 6
    assert crew.is_turning(late - 2)
    assert not crew.is_turning(late)
    crew.is_asleep = True
    assert crew.is_turning(late)


def test_nobody_is_told_to_wait_for_the_successor_of_one_that_stood_still(master):
    crew = made(master, timeout=5)
    worker = crew.workers[1001]
    now = crew.overdue_at(worker)
    crew.board._beats[1] = now
    for each in crew.workers.values():
        each.started_at = now - 6  # not long ago: what ends now puts off the next start
    crew.enforce(now)
    crew.fill(now)
    assert ages(crew) == [2, 3]
    die(crew, worker, now=now + 0.1)
    assert len(master.log.errors) == 2 and "was ended by SIGKILL" in master.log.errors[1]
    assert "the next one" not in master.log.errors[1]
    die(crew, crew.workers[1002], now=now + 0.2)
    assert "the next one in 0." in master.log.errors[2]


def test_one_that_is_not_ready_in_time_is_named_as_the_failure_of_the_start(master):
    crew = Crew(master, generation(boot_timeout=5))
    crew.fill(0.0)
    worker = crew.workers[1001]
    crew.enforce(crew.overdue_at(worker))
    die(crew, worker)
    assert crew.failure is not None
    assert crew.failure.status == 4
    assert crew.failure.message == "worker 1 (process 1001): it is not ready after 5 s"


def test_a_successor_that_dies_is_missed_though_the_one_that_it_replaces_still_serves(master):
    crew = made(master)
    crew.workers[1001].reason = "it is old"
    turn(crew)
    turn(crew)
    assert ages(crew) == [1, 2, 3]
    die(crew, crew.workers[1003], now=4.0)
    assert "the next one in 0.1 s" in master.log.errors[0]

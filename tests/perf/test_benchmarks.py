"""The benchmark suite: what it makes of outputs, answers, figures and errors; no process is started."""

from __future__ import annotations

import io
from http.client import HTTPResponse
from pathlib import Path

import pytest

from benchmarks.canned import Canned
from benchmarks.client import WrongAnswer, compare
from benchmarks.load import (
    LoadReport,
    Unreadable,
    check_clock,
    lua_script,
    parse_h2load,
    parse_latencies,
    parse_wrk,
)
from benchmarks.measure import METHODS
from benchmarks.options import parse
from benchmarks.peers import PEERS
from benchmarks.plan import build_plan, estimate
from benchmarks.report import NOTHING, all_tables, overview_table, workload_table
from benchmarks.request import Content
from benchmarks.results import Results, empty_results
from benchmarks.sample import Cell, Sample, State, percentile
from benchmarks.server import telling_line
from benchmarks.workload import Method, Workload
from benchmarks.workloads import DOWNLOAD, WORKLOADS
from tests.architecture import bare_excepts, long_files, long_functions, read_modules

ROOT = Path(__file__).resolve().parent.parent.parent
HELLO = WORKLOADS["hello"]

WRK = """Running 1m test @ http://127.0.0.1:18777/
  1 threads and 64 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency   814.08us  257.08us   5.24ms   97.04%
    Req/Sec    80.15k     2.47k   81.98k    80.00%
  Latency Distribution
     50%  775.00us
     75%  799.00us
     90%  832.00us
     99%    1.78ms
  39673 requests in 500.76ms, 3.44MB read
Requests/sec:  79225.89
Transfer/sec:      6.88MB
"""
SOCKET_ERRORS = "  Socket errors: connect 0, read 7, write 0, timeout 2\n"
OTHER_STATUS = "  Non-2xx or 3xx responses: 39673\n"

H2LOAD = """finished in 2.17s, 59657.00 req/s, 5.18MB/s
requests: 59657 total, 59657 started, 59657 done, 59657 succeeded, 0 failed, 0 errored, 0 timeout
status codes: 59657 2xx, 0 3xx, 0 4xx, 0 5xx
traffic: 5.18MB (5428787) total, 4.21MB (4411420) headers (space savings 0.00%), 1.16MB (1220180) data
"""


def wrk_output(*lines: str) -> str:
    return WRK.replace("Requests/sec", "".join(lines) + "Requests/sec")


# What the load generators say.


def test_wrk_is_read():
    report = parse_wrk(WRK)
    assert (report.answers, report.per_second, report.received) == (39673, 79225.89, 3.44 * 1024**2)
    assert report.seconds == pytest.approx(0.50076)
    assert (report.p50_ms, report.p99_ms) == (0.775, 1.78)
    assert report.fault(13) == ""


def test_every_kind_of_error_that_wrk_counts_voids_a_figure():
    assert parse_wrk(wrk_output(SOCKET_ERRORS)).fault(13) == "7 read errors, 2 timeout errors"
    assert parse_wrk(wrk_output(OTHER_STATUS)).fault(13) == "39673 answers with another status"


def test_answers_that_are_too_short_void_a_figure():
    assert "too few" in parse_wrk(WRK).fault(10_000)


def test_no_answer_voids_a_figure():
    assert LoadReport(0, 0.0, 0.0).fault(13) == "no answer in the time of the run"


def test_one_unannounced_end_for_each_answer_is_excused_and_nothing_else():
    assert parse_wrk(wrk_output(SOCKET_ERRORS)).excusing_ends().fault(13) == "2 timeout errors"
    assert LoadReport(6, 1.0, 600.0, errors={"read errors": 7}).excusing_ends().fault(13) == "7 read errors"


def test_output_that_is_none_of_wrks_is_no_figure():
    with pytest.raises(Unreadable, match="unable to connect"):
        parse_wrk("unable to connect to 127.0.0.1:1 Connection refused\n")


def test_a_run_of_another_length_is_no_figure():
    check_clock(1.3, 1.25)
    with pytest.raises(Unreadable, match="took 2.00 s, not 1.25"):
        check_clock(2.0, 1.25)


def test_h2load_is_read():
    report = parse_h2load(H2LOAD, parse_latencies("17\t200\t3000\n18\t200\t1000\n19\t200\t2000\n"))
    assert (report.answers, report.per_second, report.received) == (59657, 59657.0, 5428787)
    assert (report.p50_ms, report.p99_ms) == (2.0, 3.0)
    assert report.fault(13) == ""


@pytest.mark.parametrize("kind", ["failed", "errored", "timeout", "5xx"])
def test_every_kind_of_error_that_h2load_counts_voids_a_figure(kind):
    output = H2LOAD.replace(f" 0 {kind}", f" 3 {kind}")
    assert parse_h2load(output, []).fault(13).startswith(f"3 {kind}")


def test_the_script_puts_another_number_into_each_request():
    script = lua_script(WORKLOADS["browser"])
    assert '"GET /items/" .. number .. "?page=7 HTTP/1.1\\r\\nHost: 127.0.0.1\\r\\n' in script
    assert 'csrftoken=" .. number .. "\\r\\n' in script
    assert "{number}" not in script


def test_scripts_tell_wrk_what_its_command_line_cannot():
    assert lua_script(HELLO) == ""
    assert 'wrk.headers["Connection"] = "close"' in lua_script(WORKLOADS["close"])
    assert 'wrk.body = string.rep("x", 10240)' in lua_script(WORKLOADS["post-10k"])
    assert "string.rep(wrk.format(), 16)" in lua_script(WORKLOADS["pipelined"])


# The right answer.


class Received:
    """A socket that has received everything already."""

    def __init__(self, octets: bytes) -> None:
        self.octets = octets

    def makefile(self, mode: str) -> io.BytesIO:
        return io.BytesIO(self.octets)


def answered(octets: bytes) -> HTTPResponse:
    response = HTTPResponse(Received(octets))  # type: ignore[arg-type]
    response.begin()
    return response


@pytest.mark.parametrize("workload", [each for each in WORKLOADS.values() if each.request.answer != DOWNLOAD])
def test_the_raw_loop_sends_the_right_answer(workload: Workload):
    canned = Canned.from_json(workload.canned().as_json())
    assert compare(answered(canned.joined), workload.request.answer) is not workload.request.closes


WRONG = {
    b"HTTP/1.1 500 Oops\r\nContent-Length: 2\r\n\r\nok": "status 500",
    b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok!": "Content-Length 3, not 2",
    b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nno": "other content",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nok!\r\n0\r\n\r\n": "1 octets too many",
}


@pytest.mark.parametrize("octets", WRONG, ids=WRONG.values())
def test_a_wrong_answer_is_seen(octets):
    with pytest.raises(WrongAnswer, match=WRONG[octets]):
        compare(answered(octets), Content(b"ok"))


# Figures.


def cell_of(*figures: float | None, peer: str = "greenserve") -> Cell:
    samples = {
        number: Sample(figure, "" if figure else "7 read errors") for number, figure in enumerate(figures)
    }
    return Cell(peer, "hello", samples)


def test_the_median_and_the_spread_of_all_rounds():
    cell = cell_of(90.0, 120.0, 100.0)
    assert (cell.median, cell.spread) == (100.0, 0.3)


def test_ratios_are_those_of_the_same_round():
    # The machine got slower from round to round; the ratio did not change but in the last one.
    assert cell_of(200.0, 100.0, 90.0).ratio_to(cell_of(100.0, 50.0, 30.0, peer="raw")) == 2.0


def test_a_round_that_one_of_them_misses_has_no_ratio():
    assert cell_of(200.0, 100.0, None).ratio_to(cell_of(None, 50.0, 1.0, peer="raw")) == 2.0
    assert cell_of(200.0).ratio_to(cell_of(None, peer="raw")) is None


def test_a_void_round_has_no_figure_and_is_told():
    cell = cell_of(100.0, None, 110.0)
    assert (cell.state, cell.median) == (State.MEASURED, 105.0)
    assert cell.reason == "void in 1 of 3 rounds: 7 read errors"
    assert cell_of(None, None).state is State.VOID


def test_a_percentile_is_one_of_the_values():
    assert percentile([5.0, 1.0, 4.0, 2.0, 3.0], 0.5) == 3.0
    assert percentile([1.0, 2.0], 0.99) == 2.0
    assert percentile([], 0.5) is None


# Nobody is dropped.


def some_results() -> Results:
    """Return results with a figure, a failure, a reason why not, and a void round."""
    peers = [PEERS[name] for name in ("raw", "greenserve", "bjoern", "uwsgi")]
    workloads = [WORKLOADS[name] for name in ("hello", "tls", "pipelined")]
    results = empty_results(peers, workloads, dict.fromkeys(WORKLOADS, 2))
    results.cell("raw", "hello").samples = {0: Sample(50.0), 1: Sample(60.0)}
    results.cell("greenserve", "hello").samples = {
        0: Sample(100.0, p99_ms=1.5),
        1: Sample(void="7 read errors"),
    }
    results.cell("bjoern", "hello").failure = "failed to start: no such library"
    return results


def test_every_peer_has_a_row_in_every_table_of_a_workload():
    results = some_results()
    for subject in results.subjects.values():
        table = workload_table(results, subject)
        assert [row[0] for row in table.rows] == ["raw gevent", "greenserve", "bjoern", "uWSGI --gevent"]
        assert {len(row) for row in table.rows} == {len(table.columns)}


def test_a_row_has_the_figure_or_the_reason():
    results = some_results()
    raw, ours, failed, unreached = workload_table(results, results.subjects["hello"]).rows
    assert raw[1:4] == ["55.0", "18 %", "1.00"]
    assert ours[1:4] == ["100", NOTHING, "2.00"]
    assert ours[-1] == "void in 1 of 2 rounds: 7 read errors"
    assert failed[1] == NOTHING and failed[-1] == "failed to start: no such library"
    assert unreached[-1] == "not reached"
    excluded = workload_table(results, results.subjects["tls"]).rows[2]
    assert excluded[-1] == "not applicable: has no TLS"


def test_our_figure_is_compared_with_each_of_the_others():
    results = some_results()
    rows = workload_table(results, results.subjects["hello"]).rows
    assert [row[-2] for row in rows] == ["2.00", NOTHING, NOTHING, NOTHING]


def test_the_overview_has_a_word_where_there_is_no_figure():
    rows = overview_table(some_results()).rows
    assert rows[0] == ["hello", "1.00", "2.00", "failed", ""]
    assert rows[1] == ["tls", "", "", NOTHING, ""]


def test_results_survive_json():
    results = some_results()
    again = Results.from_json(results.as_json())
    assert again.cells == results.cells
    assert all_tables(again) == all_tables(results)


def test_every_server_has_its_turn_before_the_next_round():
    options = parse(["--peers", "raw,greenserve", "--workloads", "hello,upload", "--rounds", "3"])
    steps = [(step.workload.name, step.round, step.peer.name) for step in build_plan(options)]
    assert steps[:4] == [
        ("hello", 0, "raw"), ("hello", 0, "greenserve"), ("hello", 1, "raw"), ("hello", 1, "greenserve"),
    ]  # fmt: skip
    assert [number for name, number, peer in steps if (name, peer) == ("upload", "raw")] == [0, 1]


def test_what_a_peer_cannot_is_not_tried():
    names = {step.workload.name for step in build_plan(parse(["--peers", "bjoern"]))}
    assert names == set(WORKLOADS) - set(PEERS["bjoern"].cannot)


def test_quick_is_quick_and_the_whole_is_endurable():
    quick, whole = parse(["--quick"]), parse([])
    assert [peer.name for peer in quick.peers] == ["raw", "greenserve", "pywsgi-nodelay", "gunicorn"]
    assert quick.rounds >= 3
    assert estimate(build_plan(quick), quick) < 110
    assert estimate(build_plan(whole), whole) < 30 * 60


def test_an_unknown_name_is_an_error(capsys):
    with pytest.raises(SystemExit):
        parse(["--peers", "raw,apache"])
    assert "no such peer: apache; there are raw, greenserve" in capsys.readouterr().err


def test_the_line_that_names_the_error_is_told():
    assert telling_line("Traceback\nModuleNotFoundError: No module named 'x'\nbye\n").startswith("ModuleNot")
    assert telling_line("one\n\ntwo\n") == "two"
    assert telling_line("") == ""


# The rules of the house.


def test_the_suite_keeps_the_rules_of_the_house():
    modules = read_modules(ROOT / "benchmarks")
    assert [*long_files(modules), *long_functions(modules), *bare_excepts(modules)] == []


def test_every_method_has_a_function():
    assert set(METHODS) == set(Method)

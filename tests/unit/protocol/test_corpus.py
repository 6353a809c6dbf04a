"""Every raw request of tests/cases, fed whole, in pieces, cut at every offset, and with another behind it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.corpus import CASES, Case, ParsedRequest, RequestReader, case_paths, cut, load_cases, read_requests

VALID = load_cases("valid")
REFUSED = load_cases("refused")

#: Short, so that it fits the narrow limits of some cases.
NEXT_RAW = b"GET / HTTP/1.1\r\nHost: next\r\n\r\n"
NEXT = ParsedRequest(
    method="GET",
    target="/",
    path="/",
    query="",
    protocol="HTTP/1.1",
    fields={"HTTP_HOST": "next"},
    body="",
    trailers=[],
    persistent=True,
    expect_continue=False,
    upgrade=False,
)

#: Beyond this size a case is not fed octet by octet, which takes quadratic time, but in larger pieces.
LONG = 2048
STRIDE = 61


def case_name(case: Case) -> str:
    return case.name


every_case = pytest.mark.parametrize("case", VALID + REFUSED, ids=case_name)
every_valid_case = pytest.mark.parametrize("case", VALID, ids=case_name)
every_refused_case = pytest.mark.parametrize("case", REFUSED, ids=case_name)


def cut_offsets(octets: bytes) -> Iterator[int]:
    """Yield every offset of a short text; of a long one every few and all that are near its ends."""
    for offset in range(1, len(octets)):
        if len(octets) <= LONG or offset % STRIDE == 0 or offset < 128 or offset > len(octets) - 128:
            yield offset


@every_case
def test_whole(case: Case) -> None:
    assert list(read_requests([case.raw], case.settings)) == case.outcome


@every_case
def test_octet_by_octet(case: Case) -> None:
    pieces = cut(case.raw, 1 if len(case.raw) <= LONG else STRIDE)
    assert list(read_requests(pieces, case.settings)) == case.outcome


@every_case
def test_cut_in_two_at_every_offset(case: Case) -> None:
    different = {
        offset: outcome
        for offset in cut_offsets(case.raw)
        if (outcome := list(read_requests([case.raw[:offset], case.raw[offset:]], case.settings)))
        != case.outcome
    }
    assert not different


@every_valid_case
def test_valid_leaves_nothing_over(case: Case) -> None:
    reader = RequestReader(case.settings)
    assert list(reader.feed(case.raw)) == case.outcome
    assert reader.between_requests, reader.rest


@every_valid_case
def test_valid_is_not_answered_early(case: Case) -> None:
    """The last request is complete with the last octet, not before."""
    early = list(read_requests([case.raw[:-1]], case.settings))
    assert early == case.outcome[:-1]


@every_valid_case
def test_valid_with_another_request_behind(case: Case) -> None:
    assert list(read_requests([case.raw + NEXT_RAW], case.settings)) == [*case.outcome, NEXT]
    assert list(read_requests([case.raw, NEXT_RAW], case.settings)) == [*case.outcome, NEXT]
    assert list(read_requests(cut(case.raw + NEXT_RAW, STRIDE), case.settings)) == [*case.outcome, NEXT]


@every_refused_case
def test_refused_with_another_request_behind(case: Case) -> None:
    assert list(read_requests([case.raw + NEXT_RAW], case.settings)) == case.outcome
    assert list(read_requests([case.raw, NEXT_RAW], case.settings)) == case.outcome


def test_the_corpus_is_large_enough() -> None:
    assert len(VALID) + len(REFUSED) >= 250
    assert min(len(VALID), len(REFUSED)) >= 100


def test_every_request_has_its_expectation_and_every_expectation_its_request() -> None:
    for kind in ("valid", "refused"):
        names = {path.stem for path in case_paths(kind)}
        assert names == {path.stem for path in (CASES / kind).glob("*.json")}
        assert {path.suffix for path in (CASES / kind).iterdir()} == {".http", ".json"}


def test_a_name_says_one_thing() -> None:
    assert not {case.name for case in VALID} & {case.name for case in REFUSED}


def test_every_case_cites_its_rule() -> None:
    assert [case.name for case in VALID + REFUSED if not case.rule] == []


def test_refused_cases_know_their_status_and_place() -> None:
    assert {case.status for case in REFUSED} == {400, 413, 414, 417, 431, 501, 505}
    assert {case.where for case in REFUSED} == {"head", "body"}


def test_octets_are_checked_out_as_they_were_written() -> None:
    """Git must not mend the line ends of the cases."""
    attributes = (CASES.parents[2] / ".gitattributes").read_text("ascii").splitlines()
    assert "tests/cases/** -text" in attributes

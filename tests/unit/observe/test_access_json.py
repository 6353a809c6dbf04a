"""Access log lines in JSON: valid whatever a peer has sent."""

from __future__ import annotations

import json

import pytest
from hypothesis import given

from greenserve.observe.access import json_format
from tests.unit.observe.entries import build_entry, build_refused_entry, octets


def test_json_has_typed_fields() -> None:
    assert json.loads(json_format(build_entry())) == {
        "time": "2000-10-10T13:55:36.123Z",
        "remote_addr": "192.0.2.7",
        "method": "GET",
        "path": "/root/a b",
        "query": "x=1",
        "protocol": "HTTP/1.1",
        "status": 200,
        "bytes": 2326,
        "duration": 1.234567,
        "host": "www.example:8000",
        "referer": "http://example/start",
        "user_agent": "curl/8.5",
        "request_id": "r-17",
        "user": "frank",
    }


def test_json_of_a_refused_request_has_the_same_fields_and_null() -> None:
    parsed = json.loads(json_format(build_refused_entry()))
    assert list(parsed) == list(json.loads(json_format(build_entry())))
    known = {name: value for name, value in parsed.items() if value is not None}
    assert known == {
        "time": "2000-10-10T13:55:36.123Z",
        "remote_addr": "203.0.113.9",
        "status": 400,
        "bytes": 11,
        "duration": 1.234567,
    }


@pytest.mark.parametrize("status", ["", "007 Bond", "2", "٢٠٠ OK", "abc"])
def test_json_has_no_status_that_is_no_number(status: str) -> None:
    assert json.loads(json_format(build_entry(status=status)))["status"] is None


def test_json_tolerates_what_an_application_puts_into_the_environ() -> None:
    parsed = json.loads(
        json_format(build_entry({"HTTP_HOST": 17, "HTTP_REFERER": b"x", "QUERY_STRING": None}))
    )
    assert (parsed["host"], parsed["referer"], parsed["query"]) == ("17", "b'x'", None)


@pytest.mark.parametrize(
    ("sent", "shown"),
    [("/caf\xc3\xa9", "/café"), ("/caf\xe9", "/caf\xe9"), ("/\u20ac", "/€"), ("a\nb", "a\nb")],
)
def test_json_shows_octets_as_utf_8_where_they_are_that(sent: str, shown: str) -> None:
    parsed = json.loads(json_format(build_entry({"SCRIPT_NAME": "", "PATH_INFO": sent})))
    assert parsed["path"] == shown


def read_octets(text: str) -> str:
    try:
        return text.encode("latin-1").decode("utf-8")
    except UnicodeDecodeError:
        return text


@given(referer=octets, agent=octets, request_id=octets, host=octets)
def test_json_parses_back_with_the_values(referer: str, agent: str, request_id: str, host: str) -> None:
    changes = {"HTTP_REFERER": referer, "HTTP_USER_AGENT": agent, "HTTP_X_REQUEST_ID": request_id}
    parsed = json.loads(json_format(build_entry({**changes, "HTTP_HOST": host})))
    found = [parsed[name] for name in ("referer", "user_agent", "request_id", "host")]
    assert found == [read_octets(value) for value in (referer, agent, request_id, host)]

"""What a front end says of the scheme, and who is one."""

from __future__ import annotations

from ipaddress import ip_network
from typing import Any

import pytest

from greenserve.errors import ProtocolError
from greenserve.wsgi.forwarded import behind_front_end, trust

SECURE = {"HTTP_X_FORWARDED_PROTO": "https", "HTTP_X_FORWARDED_SSL": "on"}
NETWORKS = [ip_network("192.0.2.0/24"), ip_network("2001:db8::/32")]


@pytest.mark.parametrize(
    ("address", "trusted"),
    [
        ("192.0.2.7", True),
        ("198.51.100.7", False),
        ("2001:db8::7", True),
        ("2001:db9::7", False),
        ("", True),
    ],
)
def test_a_front_end_has_one_of_the_addresses_or_none(address, trusted):
    assert trust(False, NETWORKS)(address) is trusted


def test_everybody_may_be_one():
    assert trust(True, ())("198.51.100.7")


def scheme(trusted: bool = True, **fields: str) -> Any:
    """Return wsgi.url_scheme as an application sees it that is called with these fields."""
    asked = []

    def is_trusted(address: str) -> bool:
        asked.append(address)
        return trusted

    environ = {"wsgi.url_scheme": "as it was", "REMOTE_ADDR": "192.0.2.7", **fields}
    application = behind_front_end(
        lambda environ, start_response: [environ["wsgi.url_scheme"]], SECURE, is_trusted
    )
    (told,) = application(environ, None)
    assert asked == (["192.0.2.7"] if fields else [])
    return told


def test_without_the_fields_nobody_is_asked():
    assert scheme() == "as it was"


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"HTTP_X_FORWARDED_PROTO": "https"}, "https"),
        ({"HTTP_X_FORWARDED_PROTO": "http"}, "http"),
        ({"HTTP_X_FORWARDED_PROTO": "HTTPS"}, "http"),
        ({"HTTP_X_FORWARDED_PROTO": "https, https"}, "https"),
        ({"HTTP_X_FORWARDED_PROTO": "https, http"}, "http"),
        ({"HTTP_X_FORWARDED_SSL": "on"}, "https"),
        ({"HTTP_X_FORWARDED_SSL": "on", "HTTP_X_FORWARDED_PROTO": "https"}, "https"),
    ],
)
def test_the_fields_of_a_front_end_decide(fields, expected):
    assert scheme(**fields) == expected
    assert scheme(trusted=False, **fields) == "as it was"


def test_fields_that_disagree_are_refused_from_a_front_end_and_ignored_from_others():
    fields = {"HTTP_X_FORWARDED_SSL": "off", "HTTP_X_FORWARDED_PROTO": "https"}
    with pytest.raises(ProtocolError):
        scheme(**fields)
    assert scheme(trusted=False, **fields) == "as it was"

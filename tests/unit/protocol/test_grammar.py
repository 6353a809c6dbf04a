"""The productions at their edges, where a pattern is a character too wide or too narrow."""

from __future__ import annotations

import pytest

from greenserve.protocol.grammar import HOST

LONGEST = "0000:0000:0000:0000:0000:ffff:255.255.255.255"  # an IPv6 address is written no longer


@pytest.mark.parametrize(
    "host",
    [
        "",
        ":",
        ":80",
        "a:",
        "a-b.c_d~e",
        "%2f",
        "[::]",
        f"[{LONGEST}]:80",
        "[v1.a]",
        "[VfF.a:b]",
        "!$&'()*+;=",
    ],
)
def test_what_is_a_host(host: str) -> None:
    assert HOST.fullmatch(host)


@pytest.mark.parametrize(
    "host",
    [
        "[]",
        "[:]",
        f"[0{LONGEST}]",
        "[v.a]",
        "[v1.]",
        "[vg.a]",
        "[v1a]",
        "[g::]",
        "[::",
        "%2",
        "%2g",
        "a,b",
        "a:b",
    ],
)
def test_what_is_no_host(host: str) -> None:
    assert not HOST.fullmatch(host)

"""The productions at their edges, where a pattern is a character too wide or too narrow."""

from __future__ import annotations

import pytest

from greenserve.protocol.grammar import CHUNK_LINE, HOST, MALFORMED_PERCENT, REQUEST_TARGET

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


@pytest.mark.parametrize("octet", [b"\x00", b"\x1f", b"\r", b"\n", b"\x7f"])
def test_no_control_is_part_of_a_quoted_string(octet: bytes) -> None:
    assert CHUNK_LINE.fullmatch(b'5;a="\\~"')
    assert not CHUNK_LINE.fullmatch(b'5;a="' + octet + b'"')
    assert not CHUNK_LINE.fullmatch(b'5;a="\\' + octet + b'"')


@pytest.mark.parametrize("octet", '"#<> \t\x00\x1f\x7f\x80\xff')
def test_what_is_in_no_request_target(octet: str) -> None:
    assert REQUEST_TARGET.fullmatch("/~")
    assert not REQUEST_TARGET.fullmatch("/" + octet)


@pytest.mark.parametrize("text", ["%", "%4", "%G0", "%0G", "%g0", "%0g", "%%41", "%0Z", "%41%"])
def test_a_percent_sign_has_two_hexadecimal_digits(text: str) -> None:
    assert not MALFORMED_PERCENT.search("%09%aF%Fa")
    assert MALFORMED_PERCENT.search(text)

"""Content-Length, Transfer-Encoding, Connection, and the body of known length, called directly."""

from __future__ import annotations

import pytest

from greenserve.errors import ContentTooLarge, NotImplementedCoding, ProtocolError
from greenserve.protocol import framing
from greenserve.protocol.framing import (
    LengthDecoder,
    check_transfer_encoding,
    connection_options,
    parse_content_length,
)


def status_of(error: pytest.ExceptionInfo[ProtocolError]) -> int:
    return int(error.value.status)


@pytest.mark.parametrize(
    ("value", "length"),
    [("0", 0), ("5", 5), ("005", 5), ("0" * 6000, 0), ("0" * 6000 + "7", 7), (str(2**63 - 1), 2**63 - 1)],
    ids=["zero", "one-digit", "leading-zeros", "zeros-only", "six-thousand-zeros", "largest"],
)
def test_content_length(value: str, length: int) -> None:
    assert parse_content_length(value) == length


@pytest.mark.parametrize(
    "value",
    ["", " 5", "5 ", "+5", "-5", "5,5", "5, 5", "1_0", "0x5", "5.0", "\u0665", "\u00b2", "5\n", "five"],
)
def test_content_length_malformed(value: str) -> None:
    with pytest.raises(ProtocolError) as error:
        parse_content_length(value)
    assert status_of(error) == 400


@pytest.mark.parametrize("value", [str(2**63), str(2**64 + 5), "9" * 6000], ids=["by-one", "wraps", "long"])
def test_content_length_too_large(value: str) -> None:
    with pytest.raises(ContentTooLarge) as error:
        parse_content_length(value)
    assert status_of(error) == 413
    assert len(error.value.detail) < 120


@pytest.mark.parametrize("value", ["chunked", "Chunked", "CHUNKED"])
def test_chunked_alone_is_the_coding_that_is_known(value: str) -> None:
    check_transfer_encoding(value, 1, False)


@pytest.mark.parametrize(
    "value",
    [
        "",
        ",",
        "chunked,",
        ",chunked",
        "chunked, chunked",
        "chunked, gzip",
        "chunked,,gzip",
        "xchunked",
        "gzip",
    ],
)
def test_codings_that_leave_the_length_in_doubt(value: str) -> None:
    with pytest.raises(ProtocolError) as error:
        check_transfer_encoding(value, 1, False)
    assert status_of(error) == 400


@pytest.mark.parametrize("value", ["gzip, chunked", "gzip,chunked", "br\t,\tchunked"])
def test_codings_that_are_not_known(value: str) -> None:
    with pytest.raises(NotImplementedCoding) as error:
        check_transfer_encoding(value, 1, False)
    assert status_of(error) == 501


@pytest.mark.parametrize("value", ["chunked", "gzip", ""])
@pytest.mark.parametrize(("http_minor", "has_length"), [(0, False), (1, True), (0, True)])
def test_coding_in_1_0_or_beside_a_length(value: str, http_minor: int, has_length: bool) -> None:
    with pytest.raises(ProtocolError) as error:
        check_transfer_encoding(value, http_minor, has_length)
    assert status_of(error) == 400


@pytest.mark.parametrize(
    ("value", "options"),
    [
        ("close", {"close"}),
        ("Keep-Alive", {"keep-alive"}),
        ("x,\tCLOSE , y", {"x", "close", "y"}),
        ("close, close", {"close"}),
        ("keep alive", {"keep alive"}),
    ],
)
def test_connection_options(value: str, options: set[str]) -> None:
    assert connection_options(value) == options
    assert connection_options(value) == options, "asked for a second time"


def test_connection_options_remembers_no_more_than_it_may() -> None:
    for number in range(500):
        connection_options(f"option-{number}")
    connection_options("long" * 100)
    assert len(framing._options) <= 64
    assert all(len(value) <= 64 for value in framing._options)


def test_length_decoder_takes_its_own_octets_only() -> None:
    decoder = LengthDecoder(5)
    assert not decoder.done
    assert decoder.decode(b"..helloGET", 2) == (b"hello", 7)
    assert decoder.done
    assert decoder.trailers == []


def test_length_decoder_hands_over_what_is_there() -> None:
    decoder = LengthDecoder(5)
    assert decoder.decode(b"he", 0) == (b"he", 2)
    assert not decoder.done
    assert decoder.decode(b"he", 2) == (b"", 2)
    assert not decoder.done
    assert decoder.decode(b"llo", 0) == (b"llo", 3)
    assert decoder.done


def test_length_decoder_that_is_done_takes_nothing() -> None:
    decoder = LengthDecoder(0)
    assert decoder.done
    assert decoder.decode(b"GET", 0) == (b"", 0)


def test_length_decoder_of_the_largest_length_waits_for_more() -> None:
    decoder = LengthDecoder(2**63 - 1)
    assert decoder.decode(b"some", 0) == (b"some", 4)
    assert not decoder.done


def test_only_ascii_letters_are_compared_without_their_case() -> None:
    """RFC 9110, 5.6.2: the lower case of the Kelvin sign is k, but it is no letter of a token."""
    kelvin = "\u212a"
    assert connection_options(f"{kelvin}eep-alive, CLOSE") == {f"{kelvin}eep-alive", "close"}
    with pytest.raises(ProtocolError):
        check_transfer_encoding(f"chun{kelvin}ed", 1, False)
    check_transfer_encoding("CHUNKED", 1, False)

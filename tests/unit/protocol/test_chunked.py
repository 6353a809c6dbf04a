"""The chunked transfer coding, called directly: what is handed over when, offsets, bounds, errors."""

from __future__ import annotations

import pytest

from greenserve.errors import BodyError, ChunkedCodingError, ContentTooLarge, TrailersTooLarge
from greenserve.protocol.chunked import (
    LAST_CHUNK,
    ChunkedDecoder,
    parse_chunk_size,
    parse_trailer,
)


def decode_by_octet(octets: bytes, decoder: ChunkedDecoder) -> bytes:
    """Return the content of `octets`, of which `decoder` sees one more each time."""
    content, buffer = b"", b""
    for octet in octets:
        buffer += bytes([octet])
        piece, used = decoder.decode(buffer, 0)
        content += piece
        buffer = buffer[used:]
    return content


@pytest.mark.parametrize(
    ("line", "size"),
    [
        (b"0", 0),
        (b"a", 10),
        (b"A", 10),
        (b"00ff", 255),
        (b"7fffffffffffffff", 2**63 - 1),
        (b"ffffffffffffffff", 2**64 - 1),
        (b"5;a", 5),
        (b'5 ; a = "b;c" ;d', 5),
    ],
)
def test_chunk_size(line: bytes, size: int) -> None:
    assert parse_chunk_size(line) == size


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b" ",
        b";",
        b";a",
        b"g",
        b"+5",
        b"-5",
        b"0x5",
        b"5_0",
        b" 5",
        b"5 ",
        b"5;",
        b"5;a ",
        b"5 5",
        b"5\r",
        b"5\n",
    ]
    + [b"\xb2", b"0" * 17, b"f" * 17, b'5;a="', b"5;a=b=c", b"5;a\0"],
)
def test_chunk_size_malformed(line: bytes) -> None:
    with pytest.raises(ChunkedCodingError) as error:
        parse_chunk_size(line)
    assert error.value.status == 400


def test_an_error_quotes_little_of_what_was_sent() -> None:
    for line in (b"x" * 9000, b"5;" + b" " * 9000):
        with pytest.raises(ChunkedCodingError) as error:
            parse_chunk_size(line)
        assert len(error.value.detail) < 400


@pytest.mark.parametrize(
    ("line", "trailer"),
    [
        (b"A: 1", ("A", "1")),
        (b"b:\t2 ", ("b", "2")),
        (b"A:", ("A", "")),
        (b"X_Y: caf\xe9: 2", ("X_Y", "caf\xe9: 2")),
    ],
)
def test_a_trailer(line: bytes, trailer: tuple[str, str]) -> None:
    assert parse_trailer(line) == trailer


@pytest.mark.parametrize(
    "line", [b"A", b": 1", b"A : 1", b" A: 1", b"A: 1\r\n", b"A: 1\n2", b"A: \r2", b"A: \0", b"\xe9: 1"]
)
def test_a_malformed_trailer(line: bytes) -> None:
    with pytest.raises(ChunkedCodingError):
        parse_trailer(line)


def test_decoder_stops_behind_the_body() -> None:
    decoder = ChunkedDecoder()
    octets = b"..2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\nGET / HTTP/1.1\r\n\r\n"
    assert decoder.decode(octets, 2) == (b"hello", octets.index(b"GET"))
    assert decoder.done
    assert decoder.trailers == []


def test_decoder_that_is_done_takes_nothing() -> None:
    decoder = ChunkedDecoder()
    decoder.decode(LAST_CHUNK, 0)
    assert decoder.done
    assert decoder.decode(b"GET / HTTP/1.1", 0) == (b"", 0)


def test_decoder_hands_over_what_is_there_of_a_chunk() -> None:
    decoder = ChunkedDecoder()
    assert decoder.decode(b"5\r\nhe", 0) == (b"he", 5)
    assert decoder.decode(b"ll", 0) == (b"ll", 2)
    assert decoder.decode(b"", 0) == (b"", 0)
    content, used = decoder.decode(b"o\r\n0\r\n", 0)
    assert (content, decoder.done) == (b"o", False)
    assert decoder.decode(b"o\r\n0\r\n"[used:] + b"\r\n", 0)[0] == b""
    assert decoder.done


@pytest.mark.parametrize(
    "behind",
    [b"XX", b"\r\n+5\r\n", b"\r\n6\r\n", b"\r\n0\r\nbad\r\n\r\n"],
    ids=["end", "size", "too-large", "trailer"],
)
def test_good_content_comes_before_what_is_wrong_behind_it(behind: bytes) -> None:
    decoder = ChunkedDecoder(body_limit=10)
    octets = b"5\r\nhello" + behind
    content, used = decoder.decode(octets, 0)
    assert content == b"hello"
    for _ in range(2):
        with pytest.raises(BodyError):
            decoder.decode(octets, used)
    assert not decoder.done


def test_decoder_does_not_lose_a_cut_size() -> None:
    decoder = ChunkedDecoder()
    assert decoder.decode(b"1", 0) == (b"", 0)
    assert decoder.decode(b"1\r", 0) == (b"", 0)
    assert decoder.decode(b"1\r\n", 0)[0] == b""
    assert decoder.decode(b"x", 0) == (b"x", 1)


def test_decoder_octet_by_octet_with_trailers() -> None:
    decoder = ChunkedDecoder()
    assert decode_by_octet(b"3;a=b\r\none\r\n3\r\ntwo\r\n0\r\nA: 1\r\nB: 2\r\n\r\n", decoder) == b"onetwo"
    assert decoder.done
    assert decoder.trailers == [("A", "1"), ("B", "2")]


def test_decoder_believes_in_a_huge_chunk_without_making_room_for_it() -> None:
    decoder = ChunkedDecoder()
    assert decoder.decode(b"ffffffffffffffff\r\nsome", 0) == (b"some", 22)
    assert not decoder.done


def test_trailers_are_there_only_when_all_have_come() -> None:
    decoder = ChunkedDecoder()
    _, used = decoder.decode(b"0\r\nA: 1\r\n", 0)
    assert decoder.trailers == [] and not decoder.done
    decoder.decode(b"0\r\nA: 1\r\n"[used:] + b"\r\n", 0)
    assert decoder.trailers == [("A", "1")] and decoder.done


@pytest.mark.parametrize("end", [b"\r", b"\r\n"], ids=["cr", "crlf"])
def test_line_of_exactly_the_limit_may_be_cut_in_its_end(end: bytes) -> None:
    decoder = ChunkedDecoder(line_limit=8)
    decoder.decode(b"5;abcdef" + end, 0)
    assert not decoder.done


@pytest.mark.parametrize("octets", [b"5;abcdefg", b"0" * 9, b"5;abcdefg\r\n", b"5;" + b"a" * 9000], ids=repr)
def test_line_beyond_the_limit_is_refused_as_soon_as_it_is_seen(octets: bytes) -> None:
    decoder = ChunkedDecoder(line_limit=8)
    with pytest.raises(ChunkedCodingError):
        decoder.decode(octets + b"x" * 2, 0)


def test_content_limit_counts_all_chunks() -> None:
    decoder = ChunkedDecoder(body_limit=6)
    assert decoder.decode(b"3\r\none\r\n3\r\ntwo\r\n", 0)[0] == b"onetwo"
    with pytest.raises(ContentTooLarge) as error:
        decoder.decode(b"1\r\n", 0)
    assert error.value.status == 413


def test_content_limit_of_zero_is_no_limit() -> None:
    octets = b"fffff\r\n" + b"x" * 0xFFFFF + b"\r\n" + LAST_CHUNK
    decoder = ChunkedDecoder(body_limit=0)
    assert decoder.decode(octets, 0) == (b"x" * 0xFFFFF, len(octets))
    assert decoder.done


def test_trailer_limit_is_met_and_passed() -> None:
    decoder = ChunkedDecoder(trailer_limit=4)
    assert decode_by_octet(b"0\r\nA: 1\r\n\r\n", decoder) == b""
    assert decoder.trailers == [("A", "1")]
    decoder = ChunkedDecoder(trailer_limit=4)
    with pytest.raises(TrailersTooLarge) as error:
        decoder.decode(b"0\r\nA: 12\r\n\r\n", 0)
    assert error.value.status == 431


def test_a_body_without_trailers_needs_no_room_for_them() -> None:
    decoder = ChunkedDecoder(trailer_limit=0)
    assert decode_by_octet(b"2\r\nok\r\n0\r\n\r\n", decoder) == b"ok"
    assert decoder.done


@pytest.mark.parametrize("error", [ChunkedCodingError, ContentTooLarge, TrailersTooLarge])
def test_what_reaches_the_application_is_an_os_error(error: type[BodyError]) -> None:
    assert issubclass(error, OSError)

"""What an application gives that is no status or no list of fields: the documented error, with its reason."""

from __future__ import annotations

from collections import namedtuple
from typing import Any

import pytest

from greenserve.protocol.response import serialize_head, serialize_interim

KELVIN = "\u212a"  # its lower case is the letter k

bytes_for_str = pytest.mark.filterwarnings("ignore::BytesWarning")


def refuse(fields: Any, status: Any = "200 OK") -> ValueError:
    """Return the error, the second time as well as the first: nothing of it may be remembered."""
    for _ in range(2):
        with pytest.raises(ValueError) as error:
            serialize_head(status, fields)
    return error.value


@bytes_for_str
@pytest.mark.parametrize("status", [["200 OK"], {}, None, 200, b"200 OK"], ids=repr)
def test_a_status_of_any_other_type_is_refused(status: Any) -> None:
    error = refuse([("X-Name", "value")], status)
    assert isinstance(error, UnicodeError)
    assert "status must be a native string" in error.args[0]


@pytest.mark.parametrize("status", ["200 \u20ac", f"200 O{KELVIN}", "\u0662\u0660\u0660 OK"], ids=ascii)
def test_a_status_that_is_not_latin_1_is_refused(status: str) -> None:
    error = refuse([], status)
    assert isinstance(error, UnicodeError)
    assert "not in ISO-8859-1" in error.args[0]


@pytest.mark.parametrize("fields", [None, 5, object()], ids=lambda fields: type(fields).__name__)
@pytest.mark.parametrize("serialize", [serialize_head, serialize_interim])
def test_fields_that_are_no_list_are_refused(serialize: Any, fields: Any) -> None:
    with pytest.raises(ValueError, match=f"list of pairs, not {type(fields).__name__}"):
        serialize("200 OK", fields)


@bytes_for_str
@pytest.mark.parametrize(
    "field",
    ["ab", b"ab", 5, None, (), ("A",), ["A"], ("A", "b", "c"), frozenset("ab"), {"A": "b", "C": "d"}, "A: b"],
    ids=lambda field: "frozenset" if isinstance(field, frozenset) else repr(field),
)
@pytest.mark.parametrize("others", [[], [("X-Name", "value")], [["X-Name", "value"]]], ids=repr)
def test_a_field_that_is_no_pair_is_refused(others: list[Any], field: Any) -> None:
    assert "must be a pair of name and value" in refuse([*others, field]).args[0]
    with pytest.raises(ValueError, match="pair of name and value"):
        serialize_interim("103 Early Hints", [*others, field])


@pytest.mark.parametrize(
    "fields", ["ab", {"ab": "cd"}, [{"Content-Type", "a/b"}]], ids=["text", "dict", "set"]
)
def test_a_collection_of_another_kind_is_refused(fields: Any) -> None:
    assert "must be a pair" in refuse(fields).args[0]


@bytes_for_str
@pytest.mark.parametrize("value", [5, None, b"close", ["close"]], ids=repr)
@pytest.mark.parametrize("name", ["Connection", "connection", "Keep-Alive", "TE", "Upgrade", "Date"])
@pytest.mark.parametrize("status", ["200 OK", "101 Switching Protocols"])
def test_a_value_that_is_no_native_string_is_refused_in_any_field(status: str, name: str, value: Any) -> None:
    error = refuse([(name, value)], status)
    assert isinstance(error, UnicodeError)
    assert "value must be a native string" in error.args[0]


@pytest.mark.parametrize("name", ["\u20ac", "X-\u0100", "X-\ud800", f"{KELVIN}eep-Alive", f"Coo{KELVIN}ie"])
def test_a_name_that_is_not_latin_1_is_refused(name: str) -> None:
    for fields in ([(name, "value")], iter([(name, "value")])):
        with pytest.raises(UnicodeError, match="non-latin1 header"):
            serialize_head("200 OK", fields)
    with pytest.raises(UnicodeError, match="non-latin1 header"):
        serialize_interim("103 Early Hints", [(name, "value")])


@pytest.mark.parametrize("field", [["Content-Type", "a/b"], namedtuple("Field", "name value")("A", "b")])
def test_pairs_of_other_kinds_are_sent(field: Any) -> None:
    head = serialize_head("200 OK", [field, ("X-Other", "1")])
    assert head.octets == f"HTTP/1.1 200 OK\r\n{field[0]}: {field[1]}\r\nX-Other: 1\r\n".encode()
    interim = serialize_interim("103 Early Hints", [field])
    assert interim == f"HTTP/1.1 103 Early Hints\r\n{field[0]}: {field[1]}\r\n\r\n".encode()


def test_what_an_iterator_raises_is_told() -> None:
    def fields() -> Any:
        yield "X-Name", "value"
        raise TypeError("the application's own")

    with pytest.raises(ValueError, match="pairs of native strings") as error:
        serialize_head("200 OK", fields())
    assert "the application's own" in str(error.value.__cause__)

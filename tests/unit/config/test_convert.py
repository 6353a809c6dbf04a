"""Text and native values become the values of settings, or are refused with a reason."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenserve.config import convert


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("1.5", 1.5),
        ("0", 0.0),
        (".5", 0.5),
        ("3.", 3.0),
        (" 10 ", 10.0),
        ("250ms", 0.25),
        ("2s", 2.0),
        ("10 m", 600.0),
        ("1h", 3600.0),
        (7, 7.0),
        (0.5, 0.5),
    ],
)
def test_durations_are_seconds_with_or_without_a_suffix(given, expected):
    read = convert.seconds.read(given)
    assert read == expected
    assert type(read) is float


@pytest.mark.parametrize("given", ["soon", "", "1d", "1 2", "1e3", "nan", "inf", "１", None, True, [1]])
def test_what_is_no_duration_is_refused(given):
    with pytest.raises(ValueError, match="^not a duration in seconds$"):
        convert.seconds.read(given)


@pytest.mark.parametrize("given", [-1, "-0.5", "-10ms"])
def test_negative_durations_are_refused(given):
    with pytest.raises(ValueError, match="negative"):
        convert.seconds.read(given)


@pytest.mark.parametrize("given", [float("inf"), float("nan"), "9" * 400])
def test_a_duration_is_finite(given):
    with pytest.raises(ValueError, match="finite"):
        convert.seconds.read(given)


@pytest.mark.parametrize(
    ("given", "expected"),
    [("0", 0), ("65536", 65536), ("64k", 65536), ("64K", 65536), ("2m", 2 << 20), ("1g", 1 << 30), (17, 17)],
)
def test_sizes_are_octets_with_or_without_a_suffix(given, expected):
    assert convert.size().read(given) == expected


@pytest.mark.parametrize("given", ["big", "", "1kb", "1.5m", "k", "1e6", 1.0, True, None, "9" * 5000])
def test_what_is_no_size_is_refused(given):
    with pytest.raises(ValueError, match="not a size"):
        convert.size().read(given)


def test_a_size_stays_within_its_bounds():
    with pytest.raises(ValueError, match="less than 1"):
        convert.size(at_least=1).read("0")
    with pytest.raises(ValueError, match="less than 0"):
        convert.size().read("-1k")
    with pytest.raises(ValueError, match="more than"):
        convert.size().read("999999999999999g")


@given(st.integers(0, convert.LARGEST_SIZE))
def test_a_size_that_is_shown_can_be_read_again(octets):
    assert convert.size().read(convert.show_size(octets)) == octets


def test_the_largest_suffix_that_divides_a_size_is_shown():
    assert [convert.show_size(octets) for octets in (0, 8190, 65536, 3 << 20)] == ["0", "8190", "64k", "3m"]


@pytest.mark.parametrize("given", ["many", "", "1k", "1.0", 1.0, False, None])
def test_what_is_no_whole_number_is_refused(given):
    with pytest.raises(ValueError, match="not a whole number"):
        convert.number().read(given)


def test_a_number_stays_within_its_bounds():
    assert convert.number(at_least=1).read(" 1 ") == 1
    with pytest.raises(ValueError, match="less than 1"):
        convert.number(at_least=1).read("0")
    with pytest.raises(ValueError, match="more than"):
        convert.number().read(2**31)


@pytest.mark.parametrize(
    ("given", "expected"),
    [("yes", True), ("TRUE", True), ("on", True), ("1", True), (True, True)]
    + [("no", False), ("False", False), ("off", False), ("0", False), (False, False)],
)
def test_switches_are_on_or_off(given, expected):
    assert convert.switch.read(given) is expected


@pytest.mark.parametrize("given", ["perhaps", "", 1, None])
def test_what_is_no_switch_is_refused(given):
    with pytest.raises(ValueError, match="neither yes nor no"):
        convert.switch.read(given)


@pytest.mark.parametrize("given", ["660", "0660", "0o660", 0o660])
def test_permissions_are_octal_digits(given):
    assert convert.mode.read(given) == 0o660
    assert convert.mode.show(0o660) == "660"


@pytest.mark.parametrize("given", ["rw-rw----", "8", "1777", -1, 0o1000, True, None])
def test_what_is_no_permission_is_refused(given):
    with pytest.raises(ValueError, match="not permissions"):
        convert.mode.read(given)


@pytest.mark.parametrize("given", ["www-data", "www-data:www-data", ":www-data", "1000:1000"])
def test_owners_are_user_and_group(given):
    assert convert.owner.read(given) == given


@pytest.mark.parametrize("given", ["", ":", "user:", "a:b:c", "a b"])
def test_what_is_no_owner_is_refused(given):
    with pytest.raises(ValueError, match="not user"):
        convert.owner.read(given)


@pytest.mark.parametrize(
    ("given", "expected"), [("", ""), ("/", ""), ("/shop", "/shop"), ("/shop/", "/shop"), ("/a/b//", "/a/b")]
)
def test_a_root_path_starts_with_a_slash_and_ends_without(given, expected):
    assert convert.root_path.read(given) == expected


@pytest.mark.parametrize("given", ["shop", "http://host/shop", "/a?b", "/a#b", "/a\r\nb", None])
def test_what_is_no_root_path_is_refused(given):
    with pytest.raises(ValueError, match="not"):
        convert.root_path.read(given)


@pytest.mark.parametrize("given", ["", "greenserve", "a b", "nginx/1.0 (x)"])
def test_field_values_are_printable(given):
    assert convert.field_value.read(given) == given


@pytest.mark.parametrize("given", ["a\r\nSet-Cookie: b", "a\0", "ü", "a\x7f", 5])
def test_nothing_in_a_field_value_ends_the_field_line(given):
    with pytest.raises(ValueError):
        convert.field_value.read(given)


@pytest.mark.parametrize(
    ("given", "expected"),
    [("none", "none"), ("Optional", "optional"), ("required", "required")]
    + [(ssl.CERT_NONE, "none"), (ssl.CERT_OPTIONAL, "optional"), (ssl.CERT_REQUIRED, "required")],
)
def test_the_constants_of_ssl_are_understood(given, expected):
    assert convert.verify_mode.read(given) == expected


@pytest.mark.parametrize("given", ["perhaps", 3, -1, True, None])
def test_what_is_no_verify_mode_is_refused(given):
    with pytest.raises(ValueError, match="not none, optional or required"):
        convert.verify_mode.read(given)


@pytest.mark.parametrize(
    ("given", "expected"),
    [("-", "-"), ("stderr", "stderr"), (Path("/var/log/a"), "/var/log/a")]
    + [("none", None), ("", None), (None, None)],
)
def test_a_log_goes_somewhere_or_nowhere(given, expected):
    assert convert.log_target.read(given) == expected


def test_one_word_of_several_is_taken_in_any_case():
    converter = convert.one_of("drop", "refuse", "allow")
    assert converter.read("Drop") == "drop"
    with pytest.raises(ValueError, match="^not drop, refuse or allow$"):
        converter.read("dropped")


def test_texts_and_paths_are_taken_as_they_are():
    assert convert.text.read(" a ") == " a "
    assert convert.path.read(Path("/a/b")) == "/a/b"


@pytest.mark.parametrize("given", ["", None, 5, b"a", "a\0b"])
def test_what_is_no_text_is_refused(given):
    with pytest.raises(ValueError):
        convert.text.read(given)


def test_an_optional_value_may_be_missing():
    converter = convert.optional(convert.mode)
    assert converter.read(None) is None
    assert converter.read("") is None
    assert converter.read("600") == 0o600
    assert (converter.show(None), converter.show(0o600)) == ("", "600")


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("a", ("a",)),
        ("a, b,", ("a", "b")),
        (["a", "b,c"], ("a", "b", "c")),
        (("a",), ("a",)),
        ((), ()),
        ("", ()),
        (Path("p"), ("p",)),
    ],
)
def test_several_values_are_a_list_or_one_text(given, expected):
    assert convert.several(convert.text, ",").read(given) == expected


def test_several_values_are_each_checked_and_counted():
    with pytest.raises(ValueError, match="not a whole number"):
        convert.several(convert.number(), ",").read("1,x")
    with pytest.raises(ValueError, match="^there is none$"):
        convert.several(convert.text, ",", empty="there is none").read(" , ")


@pytest.mark.parametrize("given", [["a", ""], ["", "a"], ["a", " , "], ("a", "", "b")], ids=repr)
def test_an_empty_value_beside_others_is_refused_where_there_must_be_one(given):
    with pytest.raises(ValueError, match="there is none"):
        convert.several(convert.text, ",", empty="there is none").read(given)
    assert "" not in convert.several(convert.text, ",").read(given)


@pytest.mark.parametrize(
    ("given", "expected"), [("4", 4), (" 4 ", 4), (1, 1), ("auto", "auto"), (" AUTO", "auto"), ("010", 10)]
)
def test_workers_are_a_number_or_auto(given, expected):
    assert convert.workers.read(given) == expected


@pytest.mark.parametrize("given", ["", "many", "1.5", 2.0, None, [4], "²"])
def test_what_is_no_number_of_workers_is_refused(given):
    with pytest.raises(ValueError, match="^neither a number nor auto$"):
        convert.workers.read(given)


@pytest.mark.parametrize(
    ("given", "reason"), [("0", "less than 1"), (-2, "less than 1"), (True, "not a whole")]
)
def test_there_is_one_worker_at_least(given, reason):
    with pytest.raises(ValueError, match=reason):
        convert.workers.read(given)


@pytest.mark.parametrize(
    ("given", "expected"), [("www-data", "www-data"), (33, "33"), (0, "0"), ("svc$", "svc$"), ("ü", "ü")]
)
def test_accounts_are_names_or_numbers(given, expected):
    assert convert.account.read(given) == expected


@pytest.mark.parametrize("given", ["", " ", "a b", "user:group", "-1", -1, True, "a\nb", "a\0", 1.0, b"me"])
def test_what_is_no_account_is_refused(given):
    with pytest.raises(ValueError, match="^(neither a name nor a number|not a text|a NUL character)$"):
        convert.account.read(given)


@pytest.mark.parametrize("given", ["/", "/health", "/health?deep=1&b=%20", "/a:b/~c;d"])
def test_a_warm_up_is_asked_for_by_path_and_query(given):
    assert convert.warmup_path.read(given) == given


@pytest.mark.parametrize("given", ["", "health", "http://host/", "/a b", "/a#b", "/\r\nX: y", "/ü", 5])
def test_what_is_no_target_in_origin_form_is_refused(given):
    with pytest.raises(ValueError, match="^(not a path of printable ASCII|not a text)"):
        convert.warmup_path.read(given)

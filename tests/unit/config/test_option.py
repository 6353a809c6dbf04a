"""One declaration gives the flag, the variable, the keyword and the description."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, dataclass

import pytest

from greenserve.config import convert
from greenserve.config.option import convert_all, declared_options, option
from greenserve.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class Tea:
    """Tea."""

    brew_time: float = option(180.0, convert.seconds, "Seconds that the leaves stay in.", flags=("-t",))
    with_milk: bool = option(False, convert.switch, "Add milk.")
    pot_size: int = option(1 << 10, convert.size(), "Octets of tea.", metavar="TEA")


def options():
    return {each.name: each for each in declared_options(Tea)}


def test_the_names_derive_from_the_field():
    brew_time = options()["brew_time"]
    assert brew_time.flag == "--brew-time"
    assert brew_time.variable == "GREENSERVE_BREW_TIME"
    assert brew_time.flags == ("-t",)


def test_options_come_in_the_order_of_their_declaration():
    assert list(options()) == ["brew_time", "with_milk", "pot_size"]


def test_the_default_is_the_value_of_the_field():
    assert Tea() == Tea(brew_time=180.0, with_milk=False, pot_size=1024)


def test_a_section_is_frozen():
    with pytest.raises(FrozenInstanceError):
        Tea().brew_time = 1.0


def test_the_metavar_is_that_of_the_converter_unless_given():
    assert (options()["brew_time"].metavar, options()["pot_size"].metavar) == ("SECONDS", "TEA")


def test_the_default_is_shown_as_it_would_be_given():
    assert [each.shown_default for each in declared_options(Tea)] == ["180", "no", "1k"]


def test_only_truth_values_are_switches():
    assert [each.name for each in declared_options(Tea) if each.is_switch] == ["with_milk"]


def test_a_refused_value_is_named_as_it_was_given():
    with pytest.raises(ConfigError) as refused:
        options()["brew_time"].convert("soon", "--brew-time")
    assert str(refused.value) == "--brew-time: 'soon': not a duration in seconds"


def test_a_source_gives_values_under_the_names_of_the_fields():
    flags = {each.flag: each for each in declared_options(Tea)}
    assert convert_all({"--brew-time": "2m", "--with-milk": "yes"}, flags) == {
        "brew_time": 120.0,
        "with_milk": True,
    }


def test_an_unknown_name_is_refused_with_its_neighbours():
    with pytest.raises(ConfigError, match=r"^brew_tme: 3: no such setting; did you mean brew_time\?$"):
        convert_all({"brew_tme": 3}, options())
    with pytest.raises(ConfigError, match="^zzz: 3: no such setting$"):
        convert_all({"zzz": 3}, options())

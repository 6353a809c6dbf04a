"""The house is as docs/architecture.md draws it.

First the rules are applied to the source.  Then each of them meets a house that was built to break it:
a rule that finds nothing wrong there would be worthless.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.architecture import (
    FILE_LINES,
    PACKAGE,
    House,
    Module,
    bare_excepts,
    breaches_of_direction,
    cycle_of,
    impurities_of_protocol,
    long_files,
    long_functions,
    misplaced_libraries,
    read_modules,
    unplaced_modules,
)

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def house() -> House:
    return House(read_modules(ROOT / PACKAGE))


@pytest.fixture(scope="module")
def everything(house: House) -> list[Module]:
    return [*house.modules.values(), *read_modules(ROOT / "tests"), *read_modules(ROOT / "examples")]


def test_every_module_has_its_place(house):
    assert unplaced_modules(house) == []


def test_imports_go_down_only(house):
    assert breaches_of_direction(house) == []


def test_no_import_cycles(house):
    assert cycle_of(house) == []


def test_gevent_and_optional_libraries_stay_in_their_places(house):
    assert misplaced_libraries(house) == []


def test_protocol_knows_neither_sockets_nor_clocks(house):
    assert impurities_of_protocol(house) == []


def test_files_stay_short(everything):
    assert long_files(everything) == []


def test_functions_stay_short(everything):
    assert long_functions(everything) == []


def test_every_handler_says_what_it_handles(everything):
    assert bare_excepts(everything) == []


def house_of(**sources: str) -> House:
    """Return a house whose files are named by `sources`, with ``__`` for a slash."""
    return House(Module(name.replace("__", "/") + ".py", source) for name, source in sources.items())


UPWARD = (
    house_of(protocol__head="from greenserve.wsgi.input import Input", wsgi__input=""),
    house_of(wsgi__input="from greenserve.net import stream", net__stream=""),
    house_of(net__stream="from ..server.server import WSGIServer", server__server=""),
    house_of(net__tls="from greenserve.config import Config", config__load=""),
    house_of(config__load="import greenserve.net.address", net__address=""),
    house_of(server__server="def later():\n    from greenserve import cli", cli=""),
    house_of(observe__logs="from greenserve import WSGIServer"),
)


@pytest.mark.parametrize("broken", UPWARD)
def test_an_import_that_goes_up_or_sideways_is_found(broken):
    assert len(breaches_of_direction(broken)) == 1


def test_an_import_that_goes_down_passes():
    sound = house_of(
        server__server="from greenserve import __version__\nfrom greenserve.net.tls import build_context",
        net__tls="from ..errors import ConfigError",
        errors="",
    )
    assert breaches_of_direction(sound) == []


def test_a_part_without_a_place_is_found():
    assert unplaced_modules(house_of(utils="")) == ["utils.py"]


def test_a_cycle_is_found_and_a_late_import_is_none():
    here = "from greenserve.net import stream"
    there = "from greenserve.net.listener import bind"
    assert cycle_of(house_of(net__listener=here, net__stream=there))
    late = f"def bind():\n    {there}"
    assert not cycle_of(house_of(net__listener=here, net__stream=late))


LIBRARIES = (
    ("wsgi__run", "import gevent"),
    ("process__master", "from gevent import socket"),
    ("server__http1", "import h2.connection"),
    ("net__stream", "import requests"),
)


@pytest.mark.parametrize(("place", "source"), LIBRARIES)
def test_a_library_in_the_wrong_place_is_found(place, source):
    assert len(misplaced_libraries(house_of(**{place: source}))) == 1


def test_a_library_in_its_own_place_passes():
    sound = house_of(process__worker="import gevent", gunicorn="import gunicorn.workers", cli="import ssl")
    assert misplaced_libraries(sound) == []


IMPURE = ("import time", "from socket import socket", "def now():\n    import os.path")


@pytest.mark.parametrize("source", IMPURE)
def test_an_impure_protocol_is_found(source):
    assert len(impurities_of_protocol(house_of(protocol__head=source))) == 1


def test_what_is_too_long_is_found():
    function = "def {}():\n" + "    pass\n" * 90
    assert long_files([Module("cli.py", "\n" * (FILE_LINES + 1))])
    assert long_functions([Module("cli.py", function.format("main"))])
    assert not long_functions([Module("protocol/head.py", function.format("parse_head"))])


def test_a_bare_except_is_found():
    assert bare_excepts([Module("cli.py", "try:\n    main()\nexcept:\n    pass\n")])

"""Config: every setting typed, described, checked, and frozen."""

from __future__ import annotations

import re
from dataclasses import fields, replace
from types import UnionType
from typing import get_args, get_origin, get_type_hints

import pytest

from greenserve.config import Config
from greenserve.config.option import declared_options
from greenserve.config.sections import SECTIONS
from greenserve.errors import ConfigError

NAMES = [each.name for each in fields(Config)]
OPTIONS = {each.name: each for each in declared_options(Config)}


def test_every_setting_belongs_to_one_section():
    described = [each.name for section in SECTIONS for each in declared_options(section)]
    assert sorted(described) == sorted(NAMES)


@pytest.mark.parametrize("section", SECTIONS)
def test_a_section_has_a_title(section):
    title, stop, _ = section.__doc__.partition(".")
    assert stop
    assert re.fullmatch(r"[A-Z][A-Za-z ]+", title)


@pytest.mark.parametrize("name", NAMES)
def test_a_default_has_the_type_of_its_field(name):
    hint = get_type_hints(Config)[name]
    allowed = get_args(hint) if get_origin(hint) is UnionType else (hint,)
    assert type(getattr(Config(), name)) in {get_origin(each) or each for each in allowed}


@pytest.mark.parametrize("name", NAMES)
def test_a_default_is_a_value_that_its_converter_accepts(name):
    default = getattr(Config(), name)
    converter = OPTIONS[name].converter
    assert converter.read(default) == default
    assert converter.read(converter.show(default)) == default


@pytest.mark.parametrize("name", NAMES)
def test_the_help_of_a_setting_is_one_sentence(name):
    text = OPTIONS[name].help
    assert re.match(r"[A-Z]", text)
    assert text.endswith(".")
    assert ". " not in text


def test_no_two_settings_share_a_flag():
    flags = [flag for each in OPTIONS.values() for flag in (each.flag, *each.flags)]
    assert len(flags) == len(set(flags))


def test_keywords_take_native_values_and_texts():
    config = Config.from_keywords(
        keepalive_timeout=5, limit_request_body="1m", bind=":80", buffer_chunked="yes"
    )
    assert config.keepalive_timeout == 5.0
    assert config.limit_request_body == 1 << 20
    assert config.bind == (":80",)
    assert config.buffer_chunked is True
    assert config.head_timeout == Config().head_timeout


def test_a_wrong_keyword_is_named_with_its_value():
    with pytest.raises(ConfigError) as refused:
        Config.from_keywords(keepalive_timeout="soon")
    assert str(refused.value) == "keepalive_timeout: 'soon': not a duration in seconds"


def test_an_unknown_keyword_is_refused_with_its_neighbours():
    with pytest.raises(ConfigError, match=r"keepalive_timout: 5: .* did you mean keepalive_timeout\b"):
        Config.from_keywords(keepalive_timout=5)


def test_keywords_do_not_read_the_environment(monkeypatch):
    monkeypatch.setenv("GREENSERVE_BACKLOG", "7")
    assert Config.from_keywords().backlog == 2048


def test_a_key_needs_a_certificate():
    with pytest.raises(ConfigError, match="keyfile: 'key.pem': .*certfile is not given"):
        Config.from_keywords(keyfile="key.pem")
    assert Config.from_keywords(keyfile="key.pem", certfile="cert.pem").keyfile == "key.pem"


def test_asking_for_client_certificates_needs_authorities():
    with pytest.raises(ConfigError, match="cert_reqs: 'required': .*ca_certs is not given"):
        Config.from_keywords(certfile="cert.pem", cert_reqs="required")
    with pytest.raises(ConfigError):
        replace(Config(), cert_reqs="optional")

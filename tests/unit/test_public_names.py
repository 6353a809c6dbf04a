"""The package offers its public names, and imports them when they are used."""

from __future__ import annotations

import pytest

import greenserve
from greenserve import errors
from greenserve.config import Config


def test_every_public_name_can_be_imported():
    for name in greenserve.__all__:
        assert getattr(greenserve, name) is not None


def test_a_name_is_what_its_module_calls_it():
    assert greenserve.Config is Config
    assert greenserve.ConfigError is errors.ConfigError


def test_every_error_is_public():
    raised = {
        name
        for name, value in vars(errors).items()
        if isinstance(value, type) and value.__module__ == errors.__name__
    }
    assert raised <= set(greenserve.__all__)


def test_the_names_are_listed_before_they_are_used():
    assert set(greenserve.__all__) <= set(dir(greenserve))


def test_another_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="^module 'greenserve' has no attribute 'WSGIServr'$"):
        greenserve.WSGIServr  # noqa: B018  # the access is the test

"""The app as Django registers it."""

from __future__ import annotations

from django.apps import AppConfig  # type: ignore[import-untyped]  # Django has no annotations


class GreenserveConfig(AppConfig):  # type: ignore[misc]  # a class without annotations
    """An app without models; its label would be "django" otherwise."""

    name = "greenserve.contrib.django"
    label = "greenserve"

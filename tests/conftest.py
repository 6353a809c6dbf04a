"""What holds for every test: no proxy between a test and its server, reproducible properties in CI."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

# requests and curl would send a request for 127.0.0.1 to a proxy named by the environment.
os.environ["NO_PROXY"] = os.environ["no_proxy"] = "127.0.0.1,::1,localhost"

# How long one example takes says something about the machine and nothing about the property.
settings.register_profile("here", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("ci", settings.get_profile("here"), derandomize=True, database=None)
settings.load_profile("ci" if os.environ.get("CI") else "here")

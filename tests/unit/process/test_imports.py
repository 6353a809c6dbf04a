"""What the master is made of brings neither gevent nor ssl with it: only its children are patched."""

from __future__ import annotations

import subprocess
import sys

import pytest

MODULES = ["greenserve.config.load"] + [
    f"greenserve.process.{name}"
    for name in "cpus hooks pidfile privileges systemd title master contract preload upgrade".split()
]
SOURCE = """
import importlib, sys
importlib.import_module(sys.argv[1])
print(sorted({"gevent", "greenlet", "ssl", "socket", "subprocess"} & set(sys.modules)))
"""


@pytest.mark.parametrize("module", MODULES)
def test_a_module_of_the_masters_leaves_the_process_as_it_is(module):
    command = [sys.executable, "-c", SOURCE, module]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    assert result.stdout == "[]\n"

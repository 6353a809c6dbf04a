"""Entry points into greenserve from other projects; each imports its project only when that calls it."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import NoReturn


def become_command(arguments: Sequence[str]) -> NoReturn:
    """Replace this process by ``python -m greenserve`` with `arguments`.

    The command patches before anything is imported; in a process that has imported its framework
    already it would be too late for that.  Raises OSError when the interpreter cannot be started.
    """
    sys.stdout.flush()  # what is in the buffers goes with the process
    sys.stderr.flush()
    os.execv(sys.executable, [sys.executable, "-m", "greenserve", *arguments])

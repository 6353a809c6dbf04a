"""--preload: the application is imported in the master, and its workers are forked from it.

The process is patched first, and no event loop may be there when workers are forked: all of them would share
it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from greenserve.patching import end_hub, trace_hub
from greenserve.process.child import find_class

if TYPE_CHECKING:
    from greenserve.process.master import Master
    from greenserve.process.reload import Generation


def preload(generation: Generation, master: Master) -> Any:
    """Import the application into `generation`, and return the worker class.  Raises GreenserveError."""
    worker_class = find_class(generation.config.worker_class)
    worker_class.patch()
    master.hooks.post_patch(master)
    with trace_hub() as started_by:
        generation.application = generation.load()
    if end_hub():
        master.log.warning(
            "importing the application has started an event loop, which is ended before workers are forked; "
            "what was spawned there does not run: %s",
            started_by[0] if started_by else "nobody knows where",
        )
    return worker_class

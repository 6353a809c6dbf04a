"""What the master does when a signal comes.

TERM, INT stop; QUIT stop at once; HUP reload; USR1 logs; USR2 upgrade; WINCH no workers; TTIN one more;
TTOU one less.
"""

from __future__ import annotations

import math
import signal
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from greenserve.errors import GreenserveError
from greenserve.process.reload import MOST_WORKERS
from greenserve.process.upgrade import Upgrade

if TYPE_CHECKING:
    from greenserve.process.master import Master
    from greenserve.process.reload import Generation

NEVER = math.inf

_clock = time.monotonic


class Commands:
    """The commands of `master`; `meaning` has those of the signals, by their numbers."""

    def __init__(self, master: Master) -> None:
        self.master = master
        self.meaning: dict[int, Callable[[], None]] = {
            signal.SIGTERM: self.stop,
            signal.SIGINT: self.stop,
            signal.SIGQUIT: self.quit,
            signal.SIGHUP: self.reload,
            signal.SIGUSR1: self.reopen_logs,
            signal.SIGUSR2: self.start_upgrade,
            signal.SIGWINCH: self.sleep,
            signal.SIGTTIN: lambda: self.change_wanted(+1),
            signal.SIGTTOU: lambda: self.change_wanted(-1),
            signal.SIGCHLD: lambda: None,  # every round reaps
        }

    def stop(self) -> None:
        """TERM, INT: let the requests in flight end; asked again, end at once."""
        if self.master.stop_at < NEVER or self.master.is_ending:
            self.quit()
            return
        self.master.log.info("stopping")
        config = self.master.cfg
        self.master.supervisor.note_stop(config.shutdown_delay, config.graceful_timeout)
        self.master.stop_at = _clock() + config.shutdown_delay
        if self.master.upgrade is not None:
            self.master.upgrade.end()

    def quit(self) -> None:
        """QUIT: end at once."""
        self.master.log.info("stopping at once")
        self.master.supervisor.note_stop()
        self.master.end(self.master.crew.quit)

    def change_wanted(self, difference: int) -> None:
        """TTIN, TTOU: one worker more, or one less."""
        crew = self.master.crew
        if crew.is_asleep:
            if difference > 0:
                crew.is_asleep = False
            return
        for generation in (crew.current, crew.coming):
            if generation is not None:
                self.set_wanted(generation, min(max(1, generation.wanted + difference), MOST_WORKERS))

    def set_wanted(self, generation: Generation, wanted: int) -> None:
        """Have another number of workers, and the sockets for them."""
        old, generation.wanted = generation.wanted, wanted
        if wanted == old:
            return
        try:
            self.master.listeners.open(wanted)
        except GreenserveError as error:
            self.master.log.error("%s", error)
        self.master.crew.fill(_clock())  # so that recycle() sees in this round whose sockets nobody has
        self.master.log.info("%d workers, from %d", wanted, old)
        self.master.hooks.nworkers_changed(self.master, wanted, old)

    def sleep(self) -> None:
        """WINCH: end the workers and wait for HUP or TTIN; newcomers wait in the queue."""
        self.master.log.info("ending the workers")
        self.master.crew.is_asleep = True
        self.master.reload_again = False
        self.master.crew.retire_all(last=False)
        self.master.supervisor.note_reloaded("no workers")

    def reload(self) -> None:
        """HUP: read the settings again, and start a new generation of workers."""
        crew = self.master.crew
        if crew.coming is not None:
            self.master.reload_again = True
            return
        self.master.supervisor.note_reload()  # before anything can fail: who waits for it waits for its end
        try:
            coming = crew.current.successor(self.master.source.read(), self.master.log.warning)
            self.master.listeners.open(coming.wanted)
        except GreenserveError as error:
            self.master.log.error(
                "the settings cannot be used, the old ones stay: %s", error, text=getattr(error, "origin", "")
            )
            self.master.end_reload("")
            return
        self.master.log.info("reloading")
        self.master.hooks.on_reload(self.master)
        crew.is_asleep = False
        crew.coming = coming

    def reopen_logs(self) -> None:
        """USR1: go on in new files, because the old ones were renamed."""
        try:
            self.master.log.stream.reopen()
            self.master.provide_logs()
        except GreenserveError as error:
            self.master.log.error("%s", error)
        for worker in self.master.crew.workers.values():
            worker.send(signal.SIGUSR1)

    def start_upgrade(self) -> None:
        """USR2: start a new master on the same sockets."""
        if self.master.pid == 1:
            self.master.log.error("no upgrade: this is process 1, whose end would be that of its container")
        elif self.master.upgrade is not None or self.master.heritage.predecessor is not None:
            self.master.log.error("no upgrade: one is under way")
        else:
            self.master.log.info("starting a new master")
            try:
                self.master.upgrade = Upgrade(self.master, dict(self.master.source.environ))
            except OSError as error:
                self.master.log.error("no upgrade: %s", error)

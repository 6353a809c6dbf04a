"""The master: it binds the sockets, starts the workers, and sees to it that there are enough of them.

It serves nothing itself, needs the standard library only, starts no thread, and sleeps in one wait.  What is
done is in `greenserve.process.crew` (workers, reloads), `commands` (what the signals mean), `listening`
(sockets) and `upgrade`.
"""

from __future__ import annotations

import math
import os
import select
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import Any

from greenserve import __version__
from greenserve.config import Config
from greenserve.config.load import Loaded
from greenserve.errors import GreenserveError
from greenserve.process import privileges
from greenserve.process.child import load_as_user, run_worker
from greenserve.process.commands import Commands
from greenserve.process.crew import Crew
from greenserve.process.failure import Failure, StartError
from greenserve.process.flight import MOST_RECORDS, FlightRecorder
from greenserve.process.handle import WorkerHandle, ending, nonblocking_pipe
from greenserve.process.hooks import guarded
from greenserve.process.link import Link
from greenserve.process.listening import ListenerSets
from greenserve.process.log import MasterLog, open_to_append
from greenserve.process.pidfile import Pidfile
from greenserve.process.preload import preload
from greenserve.process.reload import Generation, Source, count
from greenserve.process.supervisor import Supervisor
from greenserve.process.title import set_title, title_of
from greenserve.process.upgrade import Heritage, Upgrade

#: Seconds by which the master may be late itself without doubting what it sees.
LATE = 1.0

#: Seconds that it sleeps at most: poll() counts milliseconds, and in 31 bits.
LONGEST_SLEEP = 86400.0

NEVER = math.inf

# The interpreter's own, taken before an application may be preloaded: with gevent's there would be a hub.
_fork = os.fork
_poll = select.poll
_set_handler = signal.signal
_clock = time.monotonic


def run(source: Source, loaded: Loaded, heritage: Heritage) -> int:
    """Serve what the settings ask for until a signal ends it; return the exit status.

    Raises GreenserveError for what keeps the first workers from serving.
    """
    return Master(source, loaded, heritage).run()


class Master:
    """The master; hooks know it as `server`."""

    def __init__(self, source: Source, loaded: Loaded, heritage: Heritage) -> None:
        config = loaded.config
        self.pid = os.getpid()
        self.source = source
        self.heritage = heritage
        identity = privileges.find(config.user, config.group)
        self.owner = (
            -1 if identity.uid is None else identity.uid,
            -1 if identity.gid is None else identity.gid,
        )
        self.log = MasterLog(config.error_log, config.log_level, self.owner)
        config = replace(
            config, bind=heritage.choose_bind(config.bind, "bind" in loaded.given, self.log.warning)
        )
        first = Generation(1, config, loaded.hooks, source.folder, count(config), names=loaded.names)
        self.crew = Crew(self, first)
        self.hooks = guarded(loaded.hooks, self.log)
        self.listeners = ListenerSets(config.bind, config, heritage.listeners)
        self.pidfile = Pidfile(config.pidfile) if config.pidfile else None
        self.upgrade: Upgrade | None = None
        self.successor = 0
        self.worker_class: Any = None
        self.is_ending = False
        self.stop_at = NEVER
        self.reload_again = False
        self._said_ready = False
        self.supervisor = Supervisor()
        self.commands = Commands(self)

    # What hooks look at.

    @property
    def cfg(self) -> Config:
        """The settings of the workers that serve."""
        return self.crew.current.config

    @property
    def num_workers(self) -> int:
        """How many workers there should be."""
        return self.crew.current.wanted

    @property
    def WORKERS(self) -> dict[int, WorkerHandle]:
        """The workers by their process number."""
        return self.crew.workers

    @property
    def LISTENERS(self) -> list[Any]:
        """The listening sockets."""
        return self.listeners.every()

    # The loop.

    def run(self) -> int:
        """Work until there is nothing left to do; return the exit status.  A child ends in here, too."""
        try:
            self.start()
            while not self.is_done():
                self.wait()
                now = _clock()
                self.obey()
                self.crew.hear(now)
                self.crew.reap(now)
                self.crew.enforce(now)
                if self.stop_at <= now:
                    self.let_crew_go()
                if not self.is_ending:
                    self.change(now)
                    self.crew.fill(now)
                    self.tell_others(now)
            if self.crew.failure is not None:
                raise StartError(self.crew.failure)
            self.log.info("stopped")
            return 0
        finally:
            if os.getpid() == self.pid:
                self.close()

    def start(self) -> None:
        """Bind, and get ready for signals.  Raises GreenserveError."""
        config = self.cfg
        if self.pidfile is not None and self.heritage.predecessor is None:
            self.pidfile.create()
        set_title(title_of("master", config.proc_name or config.application))
        self.hooks.on_starting(self)
        self.listeners.open(self.num_workers)
        self.provide_logs()
        self.supervisor.note_start(config.boot_timeout)
        self._wakeup = nonblocking_pipe()
        self._gone = nonblocking_pipe()
        self.note_signals()
        if config.preload:
            self.worker_class = preload(self.crew.current, self)
            self.note_signals()  # an event loop, or the application, may have taken them
        self.hooks.nworkers_changed(self, self.num_workers, None)
        self.hooks.when_ready(self)
        self.crew.fill(_clock())

    def note_signals(self) -> None:
        """Have the signals put their numbers into the wakeup pipe."""
        for number in self.commands.meaning:
            _set_handler(number, note)
        signal.set_wakeup_fd(self._wakeup[1], warn_on_full_buffer=False)

    def is_done(self) -> bool:
        """Whether nothing is left to do."""
        return self.is_ending and not self.crew.workers

    def wait(self) -> None:
        """Sleep until there is a signal, somebody says something, or a deadline has passed."""
        watched = [self._wakeup[0], *self.crew.pipes]
        watched += [each.fileno() for each in (self.upgrade, self.heritage.predecessor) if each is not None]
        waiting = _poll()
        for fileno in watched:
            waiting.register(fileno, select.POLLIN)
        now = _clock()
        deadline = min(self.crew.next_deadline(now), self.stop_at, self.supervisor.beat_at)
        seconds = min(max(0.0, deadline - now), LONGEST_SLEEP)
        waiting.poll(None if deadline == NEVER else math.ceil(seconds * 1000))
        if (now := _clock()) > deadline + LATE:
            self.crew.be_lenient(now)

    def obey(self) -> None:
        """Do what the signals say that have come."""
        with suppress(BlockingIOError):
            for number in os.read(self._wakeup[0], 4096):
                if number in self.commands.meaning:
                    self.commands.meaning[number]()

    def change(self, now: float) -> None:
        """Go on with what is under way: the first start, a reload, a replacement, an upgrade."""
        crew = self.crew
        if crew.failure is not None and not crew.is_started:
            self.end(crew.quit)
            return
        crew.advance(now)
        crew.recycle()
        if self.reload_again and crew.coming is None:
            self.reload_again = False
            self.commands.reload()
        if self.upgrade is not None and self.upgrade.is_ready():
            self.make_way()
        self.take_over()

    def close(self) -> None:
        """Let go of everything."""
        self.listeners.close()
        if self.pidfile is not None:
            self.pidfile.remove()
        self.hooks.on_exit(self)

    # Turns of its life.

    def let_crew_go(self) -> None:
        """The delay of a stop is over."""
        self.stop_at = NEVER
        if self.upgrade is None and self.heritage.predecessor is None:
            self.listeners.refuse_newcomers()
        self.end(self.crew.retire_all)

    def end(self, let_go: Callable[[], None]) -> None:
        """Accept nothing from now on, and have the workers end."""
        self.take_over()  # the old one may have let go in this moment: there is no other round
        self.is_ending = self.crew.is_asleep = True
        if self.upgrade is not None:
            self.upgrade.end()
        # Before the workers empty the queues: what came into one behind the last of them would be reset.
        self.listeners.close()
        let_go()

    def end_reload(self, message: str) -> None:
        """A reload has come to its end, this way or that."""
        generation = self.crew.current
        if message:
            self.change_log(generation.config)
            self.hooks = guarded(generation.hooks, self.log)
            self.log.info("%s", message)
        self.supervisor.note_reloaded(f"{self.num_workers} workers")

    def change_log(self, config: Config) -> None:
        """Log where the settings of a reload say."""
        try:
            log = MasterLog(config.error_log, config.log_level, self.owner)
        except GreenserveError as error:  # the workers could open it, a moment ago
            self.log.error("%s", error)
        else:
            self.log.stream.close()
            self.log = log

    def provide_logs(self) -> None:
        """Make the access log, for workers that run as somebody who may not."""
        path = self.cfg.access_log
        if path not in (None, "none", "-", "stdout", "stderr") and self.owner != (-1, -1):
            with suppress(OSError):  # the workers say why it cannot be had
                os.close(open_to_append(path, self.owner))

    # The upgrade.

    def make_way(self) -> None:
        """The new master serves: hand over what there can be only one of, and drain."""
        assert self.upgrade is not None
        self.log.info("the new master, process %d, is ready; ending", self.upgrade.pid)
        self.supervisor.note_successor(self.upgrade.pid)
        self.listeners.disown()
        if self.pidfile is not None:
            self.pidfile.remove()
        self.upgrade.let_go()
        self.upgrade.close()
        self.upgrade = None
        self.end(lambda: self.crew.retire_all(last=False))

    def lose_child(self, pid: int, status: int) -> None:
        """A process has ended that is no worker."""
        if self.upgrade is not None and pid == self.upgrade.pid:
            self.upgrade.close()
            self.upgrade = None
            self.log.error("the upgrade has failed, the old master goes on: the new one %s", ending(status))

    def take_over(self) -> None:
        """As the new master: have what the old one has let go."""
        predecessor = self.heritage.predecessor
        if predecessor is not None and predecessor.has_let_go():
            predecessor.close()
            self.heritage.predecessor = None
            self.listeners.own()
            if self.pidfile is not None:
                try:
                    self.pidfile.create()
                except GreenserveError as error:
                    self.log.error("%s", error)

    # The workers' side of a fork, and what others are told.

    def fork(self, worker: WorkerHandle) -> None:
        """Make a process for `worker`.  Raises OSError; in the child SystemExit, when its life is over."""
        worker.recorder = FlightRecorder(MOST_RECORDS, worker.cfg.limit_request_head)
        words, reports = worker.open_pipes()
        worker.listeners = self.listeners.of(worker.position, worker.generation.wanted)
        self.hooks.pre_fork(self, worker)
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        try:
            worker.pid = _fork()
        except OSError:
            worker.close()
            raise
        finally:
            if os.getpid() == self.pid:
                signal.pthread_sigmask(signal.SIG_SETMASK, mask)
                os.close(words)
                os.close(reports)
        if not worker.pid:
            try:
                raise SystemExit(self.be_worker(worker, words, reports))
            except Exception as error:  # for the frames above this would be a fork that has failed
                self.log.exception("%s could not begin", worker)
                raise SystemExit(Failure.of(error).status) from None

    def be_worker(self, worker: WorkerHandle, words: int, reports: int) -> int:
        """In the child: let go of what is the master's, and serve; return the exit status."""
        for fileno in (*self._wakeup, self._gone[1], *worker.pipes, *self.crew.pipes):
            with suppress(OSError):
                os.close(fileno)
        os.set_blocking(reports, True)
        self.listeners.keep(worker.listeners)
        for channel in (self.upgrade, self.heritage.predecessor):
            if channel is not None:
                channel.close()
        generation = worker.generation
        link = Link(
            config=generation.config,
            hooks=guarded(generation.hooks, self.log),
            listeners=worker.listeners,
            age=worker.age,
            load_application=lambda: load_as_user(generation),
            names=generation.names,
            server=self,
            seat=worker.seat,
            board=self.crew.board,
            recorder=worker.recorder,
            words=words,
            reports=reports,
            master_gone=self._gone[0],
        )
        return run_worker(link, self.worker_class)

    def tell_others(self, now: float) -> None:
        """Say what systemd, a predecessor and the log want to know, once it is so."""
        crew = self.crew
        if not crew.is_started and crew.ready(crew.current):
            crew.is_started = True
            self.log.info("%s", self.announce())
            self.supervisor.note_ready(f"{self.num_workers} workers", now)
        if not self._said_ready and crew.is_complete:
            self._said_ready = True
            if self.heritage.predecessor is not None:
                self.heritage.predecessor.say_ready()
        self.supervisor.beat(now, crew.is_turning(now))

    def announce(self) -> str:
        """Return the line that says where is listened, and by how many."""
        scheme = "https" if self.cfg.certfile else "http"
        names = [name if name.startswith("unix:") else f"{scheme}://{name}" for name in self.listeners.names]
        return f"greenserve {__version__} listening on {', '.join(names)}, {self.num_workers} workers"


def note(number: int, frame: object) -> None:
    """Do nothing: the number of the signal is in the wakeup pipe."""

"""Keeps many connections busy for some time, and prints how many answers came as one line of JSON.

They are opened one after the other, each with its first answer, before the time begins: ten thousand at
once are more than an accept queue holds, and what the kernel does with the rest takes longer than a run.
"""

from __future__ import annotations

import argparse
import json
import os
import select
import sys
import time
from dataclasses import dataclass, field

from benchmarks.clients.idle import REQUEST, Opening, open_all, raise_descriptors


@dataclass
class Tally:
    """What came between `begins` and the end; `size` is the number of octets of each answer."""

    begins: float
    size: int
    latencies: list[float] = field(default_factory=list)
    answered: set[int] = field(default_factory=set)  # descriptors
    error: str = ""


def keep_busy(poll: select.epoll, descriptors: list[int], tally: Tally, ends: float) -> None:
    """Ask on each connection again as soon as its answer is complete.  Errors go into the tally."""
    missing = dict.fromkeys(descriptors, tally.size)
    asked = dict.fromkeys(descriptors, time.perf_counter())
    for descriptor in descriptors:
        os.write(descriptor, REQUEST)
        poll.register(descriptor, select.EPOLLIN)
    clock, read, write = time.perf_counter, os.read, os.write
    while clock() < ends:
        for descriptor, _ in poll.poll(0.05):
            octets = len(read(descriptor, 65536))
            left = missing[descriptor] - octets
            if left > 0 and octets:
                missing[descriptor] = left
                continue
            if left or not octets:
                tally.error = "an answer of another length" if octets else "closed without an answer"
                return
            now = clock()
            if now >= tally.begins:
                tally.latencies.append(now - asked[descriptor])
                tally.answered.add(descriptor)
            missing[descriptor] = tally.size
            asked[descriptor] = now
            write(descriptor, REQUEST)


def run(opening: Opening, warm_up: float, seconds: float) -> Tally:
    """Keep the connections busy for so long and return what came."""
    begins = time.perf_counter() + warm_up
    tally = Tally(begins, opening.size, error=opening.error)
    if not tally.error:
        descriptors = [sock.fileno() for sock in opening.connections]
        try:
            with select.epoll() as poll:
                keep_busy(poll, descriptors, tally, begins + seconds)
        except OSError as error:
            tally.error = str(error)
    return tally


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("port", type=int)
    parser.add_argument("count", type=int)
    parser.add_argument("--length", type=int, required=True)
    parser.add_argument("--warm-up", type=float, required=True)
    parser.add_argument("--seconds", type=float, required=True)
    given = parser.parse_args()
    raise_descriptors()
    opening = open_all(given.port, given.count, given.length)
    tally = run(opening, given.warm_up, given.seconds)
    json.dump(
        {
            "opened": len(opening.connections),
            "seconds": time.perf_counter() - tally.begins,
            "latencies": tally.latencies,
            "answered": len(tally.answered),
            "error": tally.error,
        },
        sys.stdout,
    )


if __name__ == "__main__":
    main()

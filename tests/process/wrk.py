"""wrk as a second load: GET and POST in turn, half of them the last ones of their connections.

It is another implementation of a client than `tests.process.load`, and always busy: a connection that the
server closes without having said so is an error to it.  It does not tell which request was lost, and when.
"""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.process import start_process
from tests.process.load_site import expected_answer
from tests.tools import require_tool

CONNECTIONS = 4

#: Milliseconds before each request: there are two cores, and the visitors need most of them.
PAUSE = 20

#: wrk ends by itself if it is not told to; an answer that takes longer than the second is a lost one.
LONGEST, SECONDS = 600, 20

GET, POST, CONTENT = "7", "8", b"what wrk sends"

SCRIPT = """
local expected = {{["{get}"] = "{got}", ["{post}"] = "{posted}"}}
local only
local number = 0
wrong = 0

function setup(thread) only = thread end
function delay() return {pause} end

function request()
    number = number + 1
    local fields = number % 4 < 2 and {{}} or {{["Connection"] = "close"}}
    if number % 2 == 0 then return wrk.format("GET", "/n/{get}", fields) end
    return wrk.format("POST", "/n/{post}", fields, "{content}")
end

function response(status, fields, body)
    if status ~= 200 or expected[fields["X-Request"]] ~= body then wrong = wrong + 1 end
end

function done(summary, latency, requests)
    local errors = summary.errors
    io.write(string.format(
        'counts {{"answered": %d, "connect": %d, "read": %d, "write": %d, "timeout": %d, "wrong": %d}}\\n',
        summary.requests, errors.connect, errors.read, errors.write, errors.timeout, only:get("wrong")))
end
"""


@dataclass
class Wrk:
    """What wrk has counted, when it has ended."""

    #: Late and wrong answers are among them.
    answered: int = 0
    connect: int = 0
    read: int = 0
    write: int = 0
    timeout: int = 0
    #: Answers that were not those which had been asked for.
    wrong: int = 0

    @property
    def sent(self) -> int:
        """How many requests were sent, or could not be."""
        return self.answered + self.connect + self.read + self.write

    @property
    def failed(self) -> int:
        """How many requests have failed."""
        return self.connect + self.read + self.write + self.timeout + self.wrong


@contextmanager
def running_wrk(folder: Path, port: int) -> Iterator[Wrk]:
    """Have wrk ask the server at `port`; at the end of the statement its counts are known."""
    got, posted = expected_answer("GET", GET, b""), expected_answer("POST", POST, CONTENT)
    script = folder / "wrk.lua"
    script.write_text(
        SCRIPT.format(
            get=GET, got=quoted(got), post=POST, posted=quoted(posted), content=quoted(CONTENT), pause=PAUSE
        )
    )
    limits = (f"-c{CONNECTIONS}", "-t1", f"-d{LONGEST}", "--timeout", f"{SECONDS}s")
    command = [require_tool("wrk"), *limits, "-s", str(script), f"http://127.0.0.1:{port}"]
    counts = Wrk()
    with start_process(command, ready=None) as wrk:
        yield counts
        wrk.send_signal(signal.SIGINT)
        assert wrk.wait() == 0
        vars(counts).update(json.loads(wrk.wait_for_line(r"counts (\{.*\})")[1]))
    assert counts.answered, "wrk got no answer"


def quoted(octets: bytes) -> str:
    """Return what stands for some text between the quotes of a script."""
    return octets.decode().replace("\n", "\\n")

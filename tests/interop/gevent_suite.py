"""Run one of gevent's own test modules for pywsgi on greenserve's server class.

    python tests/interop/gevent_suite.py gevent.tests.test__pywsgi

The modules run as they are installed.  Before one is imported, `gevent.pywsgi.WSGIServer` is replaced
by greenserve's class, with the handler class that the tests pass everywhere taken off: a handler class
of pywsgi's would be served by pywsgi's parser.  Prints one JSON object: outcome of each test, and how
many requests each parser has seen.
"""

from __future__ import annotations

import importlib
import json
import sys
import unittest
from collections import Counter
from typing import Any


def install(parsed: Counter[str]) -> None:
    """Put greenserve's class in pywsgi's place, and count what each parser does."""
    if sys.argv[1].endswith("test__pywsgi"):
        from gevent import monkey

        monkey.patch_all()
    from gevent import pywsgi

    from greenserve.errors import ProtocolError
    from greenserve.server import connection
    from greenserve.server.server import WSGIServer

    class Server(WSGIServer):
        def __init__(self, *args: Any, handler_class: Any = None, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)

    parse_head = connection.parse_head

    def counted_parse(*args: Any) -> Any:
        try:
            head = parse_head(*args)
        except ProtocolError:
            parsed["greenserve"] += 1
            raise
        parsed["greenserve"] += head is not None
        return head

    def counted_handle(handler: Any) -> None:
        parsed["pywsgi"] += 1

    connection.parse_head = counted_parse
    pywsgi.WSGIHandler.handle = counted_handle
    pywsgi.WSGIServer = Server


class Outcomes(unittest.TestResult):
    """Notes one word, and the last line of the reason, for each test."""

    def __init__(self) -> None:
        super().__init__()
        self.outcomes: dict[str, tuple[str, str]] = {}

    def note(self, test: unittest.TestCase, outcome: str, reason: str = "") -> None:
        self.outcomes[test.id().removeprefix("gevent.tests.")] = (outcome, reason)

    def addSuccess(self, test: unittest.TestCase) -> None:
        self.note(test, "passed")

    def addSkip(self, test: unittest.TestCase, reason: str) -> None:
        self.note(test, "skipped", reason)

    def addError(self, test: Any, err: Any) -> None:
        self.note(test, "failed", self._exc_info_to_string(err, test)[-1500:])  # type: ignore[attr-defined]

    addFailure = addError


def main() -> None:
    parsed: Counter[str] = Counter()
    install(parsed)
    module = importlib.import_module(sys.argv[1])
    suite = unittest.defaultTestLoader.loadTestsFromModule(module)
    if len(sys.argv) > 2:
        suite = unittest.defaultTestLoader.loadTestsFromNames(sys.argv[2:], module)
    outcomes = Outcomes()
    suite.run(outcomes)
    print()
    print(json.dumps({"outcomes": outcomes.outcomes, "parsed": parsed}))


if __name__ == "__main__":
    main()

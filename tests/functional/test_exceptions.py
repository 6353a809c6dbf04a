"""Whatever an application raises ends that request and nothing else."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import gevent
import pytest

from tests.functional.client import LIMIT, Truncated, get, post
from tests.functional.serving import Application, Serving, serving, wait_until

FAILED = b"Internal Server Error"


class NotAnException(BaseException):
    """What no `except Exception` catches."""


KINDS = [
    RuntimeError,
    AssertionError,
    OSError,
    StopIteration,
    SystemExit,
    KeyboardInterrupt,
    gevent.GreenletExit,
    gevent.Timeout,
    NotAnException,
]


def reported(kind: type[BaseException]) -> list[type[BaseException]]:
    """Return what the log shows: a greenlet that is told to end has done no wrong."""
    return [] if kind is gevent.GreenletExit else [kind]


class Failing:
    """An iterable that raises in the middle; an application that returns one."""

    def __init__(self, kind: type[BaseException], *fields: tuple[str, str], before: bytes = b"begun") -> None:
        self.kind = kind
        self.fields = list(fields)
        self.before = before
        self.closed = 0

    def __call__(self, environ: Any, start_response: Any) -> Any:
        if environ["PATH_INFO"] == "/fine":
            start_response("200 OK", [])
            return [b"fine"]
        start_response("200 OK", self.fields)
        return self

    def __iter__(self) -> Failing:
        return self

    def __next__(self) -> bytes:
        before, self.before = self.before, b""
        if before:
            return before
        raise self.kind()

    def close(self) -> None:
        self.closed += 1


def expect_to_go_on(served: Serving) -> None:
    """See that others are still served, and that no slot is lost."""
    assert served.ask(get("/fine")).content == b"fine"
    wait_until(lambda: served.busy == 0, "no slot being taken")
    assert served.server.started


# -- before the head


def raise_at_once(kind: type[BaseException]) -> Application:
    def application(environ: Any, start_response: Any) -> list[bytes]:
        if environ["PATH_INFO"] != "/fine":
            raise kind()
        start_response("200 OK", [])
        return [b"fine"]

    return application


def raise_behind_start_response(kind: type[BaseException]) -> Application:
    def application(environ: Any, start_response: Any) -> list[bytes]:
        start_response("200 OK", [("X-Of", "application"), ("Content-Length", "4")])
        if environ["PATH_INFO"] != "/fine":
            raise kind()
        return [b"fine"]

    return application


def raise_for_the_first_block(kind: type[BaseException]) -> Application:
    return Failing(kind, before=b"")


BEFORE = [
    (make, kind)
    for make in (raise_at_once, raise_behind_start_response, raise_for_the_first_block)
    for kind in KINDS
    if (make, kind) != (raise_for_the_first_block, StopIteration)  # that is how an iterator ends
]


@pytest.mark.parametrize(("make", "kind"), BEFORE)
def test_before_the_head_it_is_a_500_and_one_traceback(
    make: Callable[[type[BaseException]], Any], kind: type[BaseException]
) -> None:
    application = make(kind)
    with serving(application) as served:
        client = served.connect()
        answer = client.ask(get())
        assert (answer.status, answer.content, answer.closes) == (500, FAILED, True)
        assert "x-of" not in answer.names
        client.expect_end()
        assert served.take_errors() == reported(kind)
        if isinstance(application, Failing):
            assert application.closed == 1
        expect_to_go_on(served)


def test_a_500_to_head_has_no_content() -> None:
    with serving(raise_at_once(RuntimeError)) as served:
        client = served.connect()
        answer = client.ask(get(method="HEAD"), method="HEAD")
        assert answer.status == 500
        client.expect_end()
        assert served.take_errors() == [RuntimeError]


def test_a_500_can_be_read_by_a_client_that_is_still_sending() -> None:
    with serving(raise_at_once(RuntimeError)) as served:
        client = served.connect()
        client.send(get("/", "Content-Length: 1000000", method="POST"), b"x" * 1000)
        assert client.read().status == 500
        client.send(b"x" * 100_000)
        assert served.take_errors() == [RuntimeError]


def test_a_500_ends_what_is_pipelined_behind_it() -> None:
    with serving(raise_at_once(RuntimeError)) as served:
        client = served.connect()
        client.send(get("/fine"), get("/"), get("/fine"))
        assert [client.read().status for _ in range(2)] == [200, 500]
        client.expect_end()
        assert served.take_errors() == [RuntimeError]


# -- after the head


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind is not StopIteration])
@pytest.mark.parametrize("fields", [[], [("Content-Length", "1000")]], ids=["chunked", "length"])
def test_after_the_head_the_client_can_tell_that_something_is_missing(
    kind: type[BaseException], fields: list[tuple[str, str]]
) -> None:
    application = Failing(kind, *fields)
    with serving(application) as served:
        client = served.connect()
        client.send(get())
        with pytest.raises(Truncated) as cut:
            client.read()
        assert cut.value.received == b"begun"
        assert application.closed == 1
        assert served.take_errors() == reported(kind)
        expect_to_go_on(served)


@pytest.mark.parametrize("kind", [RuntimeError, SystemExit, gevent.GreenletExit])
def test_content_that_only_the_close_ends_is_ended_by_a_reset(kind: type[BaseException]) -> None:
    application = Failing(kind)
    with serving(application) as served:
        client = served.connect()
        client.send(get(version="1.0"))
        with pytest.raises(ConnectionResetError):
            client.read()
        assert application.closed == 1
        assert served.take_errors() == reported(kind)
        expect_to_go_on(served)


def test_an_answer_without_content_is_complete_whatever_is_raised_then() -> None:
    def application(environ: Any, start_response: Any) -> Iterator[bytes]:
        start_response("204 No Content", [])(b"")
        yield b""
        raise RuntimeError("raised by the application")

    with serving(application) as served:
        client = served.connect()
        assert client.ask(get()).status == 204
        client.expect_end()
        assert served.take_errors() == [RuntimeError]


def test_an_answer_that_is_complete_stays_so_when_close_fails() -> None:
    class Blocks(list[bytes]):
        def close(self) -> None:
            raise RuntimeError("raised by close()")

    def application(environ: Any, start_response: Any) -> Blocks:
        start_response("200 OK", [])
        return Blocks([b"content"])

    with serving(application) as served:
        for _ in range(2):
            assert served.ask(get()).content == b"content"
        assert served.take_errors() == [RuntimeError] * 2


def test_an_error_in_close_does_not_hide_the_first_one() -> None:
    class Worse(Failing):
        def close(self) -> None:
            super().close()
            raise KeyError("raised by close()")

    application = Worse(RuntimeError)
    with serving(application) as served:
        client = served.connect()
        client.send(get())
        with pytest.raises(Truncated):
            client.read()
        assert application.closed == 1
        (error,) = served.errors
        assert isinstance(error, KeyError)
        assert isinstance(error.__context__, RuntimeError)
        served.take_errors()


# -- a timeout, a kill


def test_a_timeout_in_an_application_that_waits_is_a_500() -> None:
    def application(environ: Any, start_response: Any) -> list[bytes]:
        if environ["PATH_INFO"] != "/fine":
            with gevent.Timeout(0.001):
                gevent.sleep(LIMIT)
        start_response("200 OK", [])
        return [b"fine"]

    with serving(application) as served:
        assert served.ask(get()).status == 500
        assert served.take_errors() == [gevent.Timeout]
        expect_to_go_on(served)


def test_a_request_can_be_killed_from_outside_without_a_traceback() -> None:
    serving_it: list[Any] = []

    def application(environ: Any, start_response: Any) -> list[bytes]:
        if environ["PATH_INFO"] != "/fine":
            serving_it.append(gevent.getcurrent())
            gevent.sleep(LIMIT)
        start_response("200 OK", [])
        return [b"fine"]

    with serving(application, worker_connections=1) as served:
        client = served.connect()
        client.send(get())
        wait_until(lambda: serving_it, "the request being served")
        serving_it[0].kill(block=False)
        assert client.read().status == 500
        expect_to_go_on(served)
        assert served.log.lines == []


def test_an_application_that_exits_while_it_reads_harms_nobody() -> None:
    def application(environ: Any, start_response: Any) -> list[bytes]:
        if environ["PATH_INFO"] != "/fine":
            environ["wsgi.input"].read(3)
            raise SystemExit(1)
        start_response("200 OK", [])
        return [b"fine"]

    with serving(application) as served:
        assert served.ask(post(b"content")).status == 500
        assert served.take_errors() == [SystemExit]
        expect_to_go_on(served)

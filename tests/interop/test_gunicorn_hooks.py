"""gunicorn's logs and hooks, with greenserve's worker class."""

from __future__ import annotations

import re
import signal
import socket
import sys
from types import SimpleNamespace
from typing import Any

import pytest
from gunicorn.config import Config
from gunicorn.glogging import Logger

from greenserve.gunicorn import build_application, build_request_log
from tests.interop.gunicorn_process import SECONDS, ask, connect, releases, start_gunicorn, worker_of
from tests.pipes import wait_for
from tests.process import ServerProcess

FORMAT = (
    '%(h)s "%(r)s" %(m)s %(U)s %(q)s %(s)s %(B)s "%(a)s" %({x-name}i)s %({content-type}o)s %({path_info}e)s'
)


@releases
def test_the_access_log_is_gunicorns_in_its_format(tmp_path, release):
    arguments = ("--access-logfile", "-", "--access-logformat", FORMAT)
    with start_gunicorn(tmp_path, *arguments, release=release) as server:
        ask(server, "/answer?query", X_Name="value", User_Agent="a test")
        server.wait_for_line(
            r'^127\.0\.0\.1 "GET /answer\?query HTTP/1\.1" GET /answer query 200 6 "a test" value'
            r" text/plain /answer$"
        )
        ask(server, "/fail")
        server.wait_for_line(r'^127\.0\.0\.1 "GET /fail HTTP/1\.1" GET /fail  500 21 ')
        with connect(server) as connection:
            connection.request("GET", "/" + "x" * 9000)
            assert connection.getresponse().status == 414
        server.wait_for_line(r'^127\.0\.0\.1 "- - -" - - - 414 \d+ ')


def test_there_is_no_access_log_unless_it_is_asked_for(tmp_path):
    with start_gunicorn(tmp_path) as server:
        ask(server)
    assert server.wait() == 0
    assert [line for line in server.lines + server.output if "GET" in line] == []


def test_a_logger_that_counts_requests_is_called_without_an_access_log(tmp_path):
    config = """
        from gunicorn.glogging import Logger

        class Counting(Logger):
            def access(self, resp, req, environ, request_time):
                status = int(resp.status.split(None, 1)[0])
                self.info("counted %s %s", status, request_time.total_seconds() > 0)

        logger_class = Counting
    """
    with start_gunicorn(tmp_path, config=config) as server:
        ask(server)
        server.wait_for_line("counted 200 True")


def test_a_client_that_left_is_logged_with_a_number(tmp_path):
    with start_gunicorn(tmp_path, "--access-logfile", "-") as server:
        with connect(server) as connection:
            connection.putrequest("POST", "/echo")
            connection.putheader("Content-Length", "100")
            connection.endheaders(b"a part of it")
        server.wait_for_line(r'"POST /echo HTTP/1\.1" 499 0 ')


@releases
def test_an_exception_is_reported_in_the_error_log(tmp_path, release):
    with start_gunicorn(tmp_path, release=release) as server:
        assert ask(server, "/fail")[0] == 500
        server.wait_for_line("Error handling request GET /fail")
        server.wait_for_line("LookupError: what the application raised")
        assert ask(server, "/complain") == (200, b"said")
        server.wait_for_line("^a word for the error log$")


def test_errors_go_to_the_file_that_errorlog_names_and_usr1_opens_it_anew(tmp_path):
    log, moved = tmp_path / "error.log", tmp_path / "moved.log"
    config = 'def on_starting(server): print("Listening at: http://127.0.0.1:0", flush=True)'
    with start_gunicorn(tmp_path, "--error-logfile", str(log), config=config) as server:
        wait_in(log, "Listening at")
        server.port = int(log.read_text().split("Listening at: http://127.0.0.1:")[1].split(" ")[0])
        ask(server, "/complain")
        wait_in(log, "a word for")
        pid = worker_of(server)
        log.rename(moved)
        server.send_signal(signal.SIGUSR1)
        wait_for(log.exists, "a new log")

        def complains() -> bool:
            ask(server, "/fail")
            return "LookupError" in log.read_text()

        wait_for(complains, "an error in the new log")
        assert worker_of(server) == pid


HOOKS = """
    def say(*words):
        print(*words, flush=True)

    def pre_request(worker, req):
        req.mark = "marked"
        req.headers.append(("X-ADDED", "by a hook"))
        say("pre", worker.pid, req.method, req.path, req.query, req.uri, ("X-NAME", "value") in req.headers)

    def post_request(worker, req, environ, resp):
        say("post", req.mark, environ["HTTP_X_ADDED"], resp.status, resp.status_code, resp.sent, worker.nr)
"""


@releases
def test_the_hooks_of_a_request_see_what_they_see_with_gunicorn(tmp_path, release):
    with start_gunicorn(tmp_path, config=HOOKS, release=release) as server:
        pid = worker_of(server)
        server.wait_for_line(rf"^pre {pid} GET /pid  /pid False$")
        assert b'"HTTP_X_ADDED": "by a hook"' in ask(server, "/environ?query", X_Name="value")[1]
        server.wait_for_line(rf"^pre {pid} GET /environ query /environ\?query True$")
        server.wait_for_line(r"^post marked by a hook 200 OK 200 \d+ 2$")
        ask(server, "/fail")
        server.wait_for_line("^post marked by a hook 500 Internal Server Error 500 21 3$")
        told = [line.split()[0] for line in server.output]
        assert told == ["pre", "post"] * 3


def test_a_hook_that_fails_ends_its_request_and_nothing_else(tmp_path):
    config = """
        def pre_request(worker, req):
            if req.path == "/pid":
                raise LookupError("before")

        def post_request(worker, req, environ, resp):
            if req.path == "/":
                raise LookupError("behind")
    """
    with start_gunicorn(tmp_path, config=config) as server, connect(server) as connection:
        for _ in range(2):
            connection.request("GET", "/")
            assert connection.getresponse().read() == b"answer"
        server.wait_for_line("Exception in post_request hook")
        server.wait_for_line("LookupError: behind")
        assert ask(server, "/pid")[0] == 500
        server.wait_for_line("LookupError: before")


PAIRS = """
    def pre_request(worker, req):
        print("pre", req.uri, flush=True)
        if req.query == "refuse":
            raise LookupError("refused by the hook")

    def post_request(worker, req, environ, resp):
        print("post", req.uri, resp.status_code, flush=True)
        if req.query == "lose":
            raise LookupError("lost by the hook")
"""


def say_and_read(server: ServerProcess, octets: bytes) -> bytes:
    """Return all that the server says to these octets."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=SECONDS) as client:
        client.sendall(octets)
        with client.makefile("rb") as answers:
            return answers.read()


def request(target: str, *fields: str) -> bytes:
    return "\r\n".join((f"GET {target} HTTP/1.1", "Host: localhost", *fields, "", "")).encode()


@releases
def test_pipelined_requests_have_their_hooks_one_after_the_other(tmp_path, release):
    with start_gunicorn(tmp_path, config=PAIRS, release=release) as server:
        targets, failing = ["/?1", "/?lose", "/?3"], ["/?4", "/?refuse"]
        received = say_and_read(server, b"".join(map(request, targets)) + b"nonsense\r\n\r\n")
        assert re.findall(rb"HTTP/1\.1 (\d+)", received) == [b"200", b"200", b"200", b"400"]
        received = say_and_read(server, b"".join(map(request, [*failing, "/?never"])))  # 500 is the last
        assert re.findall(rb"HTTP/1\.1 (\d+)", received) == [b"200", b"500"]
        server.wait_for_line("LookupError: refused by the hook")
        server.wait_for_line("LookupError: lost by the hook")
        server.wait_for_line(r"^post /\?refuse 500$")
        told = [line.split() for line in server.output]
        # What is refused as no request has neither.
        assert [each[:2] for each in told] == [
            [when, target] for target in targets + failing for when in ("pre", "post")
        ]
        assert [each[2] for each in told[1::2]] == ["200", "200", "200", "200", "500"]


@releases
def test_a_connection_that_is_taken_over_has_both_hooks_and_a_line_in_the_log(tmp_path, release):
    with start_gunicorn(tmp_path, "--access-logfile", "-", config=PAIRS, release=release) as server:
        upgrade = request("/take", "Connection: Upgrade", "Upgrade: websocket")
        assert say_and_read(server, upgrade) == b"taken over"
        server.wait_for_line("^post /take 101$")
        server.wait_for_line(r'"GET /take HTTP/1\.1" 101 10 ')
        assert ask(server)[1] == b"answer"
        assert [line for line in server.lines if "Traceback" in line] == []


LIFE = """
    import os

    def said(name):
        def hook(*args):
            print(name, os.getpid(), flush=True)
        return hook

    def nworkers_changed(server, new, old): said("nworkers_changed")()
    def on_starting(server): said("on_starting")()
    def when_ready(server): said("when_ready")()
    def pre_fork(server, worker): said("pre_fork")()
    def post_fork(server, worker): said("post_fork")()
    def post_worker_init(worker):
        said("post_worker_init")()
        assert worker.wsgi and worker.cfg and worker.log and worker.age == 1 and worker.alive
    def worker_int(worker): said("worker_int")()
    def worker_exit(server, worker): said("worker_exit")()
    def child_exit(server, worker): said("child_exit")()
    def on_exit(server): said("on_exit")()
"""

BEFORE = "nworkers_changed on_starting when_ready pre_fork post_fork post_worker_init"


@releases
@pytest.mark.parametrize(
    ("number", "last"),
    [
        (signal.SIGTERM, "worker_exit child_exit on_exit"),
        (signal.SIGQUIT, "worker_int worker_exit child_exit on_exit"),
    ],
)
def test_the_hooks_of_a_life_are_called_in_their_order(tmp_path, release, number, last):
    with start_gunicorn(tmp_path, config=LIFE, release=release) as server:
        worker = worker_of(server)
        server.send_signal(number)
        assert server.wait() == 0
        told = [line.split() for line in server.output]
        assert [name for name, _ in told] == f"{BEFORE} {last}".split()
        in_worker = {name for name, pid in told if int(pid) == worker}
        assert in_worker == {"post_fork", "post_worker_init", "worker_exit"} | (
            {"worker_int"} & set(last.split())
        )


# -- what is not asked for costs nothing


def stub(**settings: Any) -> Any:
    """Return what build_application and build_request_log ask a worker for."""
    cfg = Config()
    for name, value in settings.items():
        cfg.set(name, value)
    limit = cfg.max_requests or sys.maxsize
    return SimpleNamespace(
        cfg=cfg, wsgi=object(), sockets=[], max_requests=limit, count=None, log=Logger(cfg)
    )


def test_the_application_is_called_as_it_is_unless_something_is_to_be_done_before():
    plain = stub(secure_scheme_headers={})
    assert build_application(plain) is plain.wsgi
    for settings in ({}, {"max_requests": 5}, {"pre_request": lambda worker, req: None}):
        wrapped = stub(**{"secure_scheme_headers": {}, "forwarded_allow_ips": "", **settings})
        assert (build_application(wrapped) is wrapped.wsgi) is (settings == {})
    assert build_application(front := stub()) is not front.wsgi


def test_nothing_is_called_behind_a_request_unless_there_is_a_log_or_a_hook():
    assert build_request_log(stub()) is None
    assert build_request_log(stub(accesslog="-")) is not None
    assert build_request_log(stub(post_request=lambda worker, req, environ, resp: None)) is not None
    assert build_request_log(stub(pre_request=lambda worker, req: None)) is None


def wait_in(log: Any, text: str) -> None:
    wait_for(lambda: log.exists() and text in log.read_text(), f"{text!r} in {log}")

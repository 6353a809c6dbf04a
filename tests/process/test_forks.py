"""Applications that fork while they answer."""

from __future__ import annotations

import signal

import pytest

from tests.process.masters import start_master, write_application

# Nothing else is to run before the child has ended; and gevent's own waitpid() waits for ever for a first
# child that has ended before gevent watches it.
FORKING = """
    import os, signal, sys
    from gevent.monkey import get_original

    def application(environ, start_response):
        if environ["PATH_INFO"] == "/fork":
            child = os.fork()
            if not child:
                sys.exit({code!r})
            status = os.waitstatus_to_exitcode(get_original("os", "waitpid")(child, 0)[1])
        elif environ["PATH_INFO"] == "/exit":
            sys.exit(1)
        else:
            status = "-"
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [f"{{status}} {{os.getpid()}}".encode()]
"""


@pytest.mark.parametrize(("code", "status"), [(None, 0), (3, 3), ("no such thing", 1)])
def test_a_child_that_ends_is_no_second_server(tmp_path, code, status):
    write_application(tmp_path, FORKING.format(code=code))
    with start_master(tmp_path, workers=1) as master:
        (pid,) = master.wait_ready(1)
        assert master.ask("/fork") == (str(status), pid)
        if status == 1:
            master.wait_for_line("^no such thing$")
        with pytest.raises(AssertionError, match="500"):
            master.ask("/exit")  # that does not end who has not been forked in a request
        assert master.ask() == ("-", pid)


@pytest.mark.parametrize("name", ["SIGTERM", "SIGQUIT"])
@pytest.mark.parametrize("workers", [1, None])
def test_a_signal_ends_a_child_and_is_none_to_the_server(tmp_path, name, workers):
    """multiprocessing.Process.terminate() in a request."""
    child = f"os.kill(os.getpid(), signal.{name}); sys.exit(0)"
    write_application(tmp_path, FORKING.format(code=0).replace("sys.exit(0)", child))
    with start_master(tmp_path, "--pidfile", "pid", workers=workers) as master:
        pid = master.ask()[1]
        assert master.ask("/fork") == (str(-signal.Signals[name]), pid)
        assert master.ask() == ("-", pid)
        assert (tmp_path / "pid").exists()

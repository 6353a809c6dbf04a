"""Applications that fork while they answer."""

from __future__ import annotations

import pytest

from tests.process.masters import start_master, write_application

FORKING = """
    import os, sys

    def application(environ, start_response):
        if environ["PATH_INFO"] == "/fork":
            child = os.fork()
            if not child:
                sys.exit({code!r})
            status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
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

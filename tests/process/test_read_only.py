"""A file system on which nothing can be written: nothing is asked for there that was not asked for."""

from __future__ import annotations

import signal
import sys
from pathlib import Path

import pytest

from tests.process import start_process
from tests.process.masters import Master, write_application
from tests.process.namespaces import require_namespaces

APPLICATION = """
    import os

    def application(environ, start_response):
        try:
            open("written", "w").close()
            answer = "writable"
        except OSError as error:
            answer = error.strerror.replace(" ", "-")
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [f"{answer} {os.getpid()}".encode()]
"""

# The mounts of /proc, /sys and /dev stay as they are: a container has those, too.
READ_ONLY = """
    mount --make-rprivate /
    for place in $(cut -d ' ' -f 2 /proc/self/mounts | grep -v -e ^/proc -e ^/sys -e ^/dev | sort -r); do
        mount -o remount,ro,bind "$place" 2>/dev/null
    done
    exec "$@"
"""


@pytest.mark.parametrize("arguments", [(), ("--preload",), ("--reuse-port",)], ids=repr)
def test_a_master_needs_no_file_to_serve_reload_and_end(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    write_application(tmp_path, APPLICATION)
    require_namespaces()
    command = ["unshare", "--mount", "sh", "-c", READ_ONLY, "sh", sys.executable, "-bb", "-m", "greenserve"]
    with start_process([*command, "site_app", "--workers", "2", *arguments], cwd=tmp_path) as server:
        server.__class__ = Master
        assert isinstance(server, Master)
        server.wait_ready(2)
        assert server.ask()[0] == "Read-only-file-system"
        server.send_signal(signal.SIGHUP)
        server.wait_for_line("reloaded")
        assert server.ask()[0] == "Read-only-file-system"
        assert not any("[error]" in line for line in server.lines)
        server.send_signal(signal.SIGTERM)
        assert server.wait() == 0

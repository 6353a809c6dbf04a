"""nginx before a server under load: connections to it are kept, and no request is sent to it twice."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.interop.front_end import MAIN_OF_NGINX, is_there
from tests.listening import free_port
from tests.process import start_process
from tests.process.masters import wait_until
from tests.tools import require_tool

SITE = """
    upstream application {{
        server 127.0.0.1:{upstream};
        keepalive 16;
    }}
    server {{
        listen 127.0.0.1:{port};
        keepalive_requests 1000000;
        location / {{
            proxy_pass http://application;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_next_upstream off;
        }}
    }}
"""


@contextmanager
def behind_nginx(folder: Path, upstream: int) -> Iterator[int]:
    """Run nginx before the server on a port; give its own port."""
    port = free_port()
    file = folder / "nginx.conf"
    file.write_text(MAIN_OF_NGINX.format(folder=folder, site=SITE.format(port=port, upstream=upstream)))
    with start_process([require_tool("nginx"), "-p", str(folder), "-c", str(file)], ready=None) as nginx:
        wait_until(lambda: is_there(nginx, port), "nginx")
        yield port

"""A large file through `wsgi.file_wrapper`, which lets the kernel send it where that is possible.

    greenserve examples/large_download.py

    DOWNLOAD=/path/to/file greenserve examples/large_download.py

Without DOWNLOAD it serves 64 MiB of its own making.  One download does not hold up the others.
"""

from __future__ import annotations

import os
import tempfile

MIB = 1024 * 1024
BLOCK_SIZE = 64 * 1024


def make_file():
    """Return a temporary file of 64 MiB, each of them filled with its own number."""
    made = tempfile.NamedTemporaryFile(prefix="large-download-")
    for number in range(64):
        made.write(bytes([number]) * MIB)
    made.flush()
    return made


MADE = None if "DOWNLOAD" in os.environ else make_file()  # gone with this process
PATH = os.environ.get("DOWNLOAD") or MADE.name


def application(environ, start_response):
    file = open(PATH, "rb")  # the wrapper's close() closes it, and the server calls that
    fields = [
        ("Content-Type", "application/octet-stream"),
        ("Content-Disposition", 'attachment; filename="download.bin"'),
        ("Content-Length", str(os.fstat(file.fileno()).st_size)),
    ]
    start_response("200 OK", fields)
    return environ["wsgi.file_wrapper"](file, BLOCK_SIZE)

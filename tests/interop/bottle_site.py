"""A Bottle site for the tests: the paths that all three frameworks have."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bottle import Bottle, redirect, request, response, static_file

application = Bottle()
application.catchall = True

SECRET = "known to everybody"


@application.get("/where")  # type: ignore[untyped-decorator]
def where() -> Any:
    environ = request.environ
    return {"url": request.url, "address": environ["REMOTE_ADDR"], "port": environ["REMOTE_PORT"]}


@application.get("/stream")  # type: ignore[untyped-decorator]
def stream() -> Iterator[str]:
    word = request.query["word"]
    for number in range(1000):
        yield f"{word} {number}\n"


@application.get("/endless")  # type: ignore[untyped-decorator]
def endless() -> Iterator[bytes]:
    try:
        while True:
            yield b"x" * 10_000
    finally:
        print("endless closed", flush=True)


@application.get("/cut")  # type: ignore[untyped-decorator]
def cut() -> Iterator[bytes]:
    yield b"the beginning"
    raise RuntimeError("cut on purpose")


@application.get("/download")  # type: ignore[untyped-decorator]
def download() -> Any:
    path = Path(os.environ["FILE"])
    return static_file(path.name, root=str(path.parent))


@application.post("/upload")  # type: ignore[untyped-decorator]
def upload() -> Any:
    file = request.files["file"].file.read()
    return {"note": request.forms["note"], "size": len(file), "sha256": hashlib.sha256(file).hexdigest()}


@application.post("/raw")  # type: ignore[untyped-decorator]
def raw() -> Any:
    content = request.body.read()
    return {"size": len(content), "sha256": hashlib.sha256(content).hexdigest()}


@application.get("/redirect")  # type: ignore[untyped-decorator]
def redirected() -> Any:
    redirect("/where")


@application.get("/count")  # type: ignore[untyped-decorator]
def count() -> Any:
    visits = int(request.get_cookie("visits", 0, secret=SECRET)) + 1
    response.set_cookie("visits", str(visits), secret=SECRET)
    return str(visits)


@application.get("/error")  # type: ignore[untyped-decorator]
def error() -> Any:
    raise RuntimeError("raised by the view")

"""A Flask site for the tests: the paths that all frameworks have, and WebSocket by flask-sock."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from typing import Any

from flask import Flask, jsonify, redirect, request, send_file, session, stream_with_context
from flask_sock import Sock

app = Flask(__name__)
app.secret_key = "known to everybody"
sock = Sock(app)


@app.get("/where")
def where() -> Any:
    return jsonify(url=request.url, address=request.remote_addr, port=request.environ["REMOTE_PORT"])


@app.get("/stream")
def stream() -> Any:
    def lines() -> Iterator[str]:
        for number in range(1000):
            yield f"{request.args['word']} {number}\n"

    return stream_with_context(lines()), {"Content-Type": "text/plain"}


@app.get("/endless")
def endless() -> Any:
    def blocks() -> Iterator[bytes]:
        try:
            while True:
                yield b"x" * 10_000
        finally:
            print("endless closed", flush=True)

    return blocks(), {"Content-Type": "text/plain"}


@app.get("/cut")
def cut() -> Any:
    def blocks() -> Iterator[bytes]:
        yield b"the beginning"
        raise RuntimeError("cut on purpose")

    return blocks(), {"Content-Type": "text/plain"}


@app.get("/download")
def download() -> Any:
    return send_file(os.environ["FILE"], download_name="file.bin")


@app.post("/upload")
def upload() -> Any:
    file = request.files["file"].read()
    return jsonify(note=request.form["note"], size=len(file), sha256=hashlib.sha256(file).hexdigest())


@app.post("/raw")
def raw() -> Any:
    content = request.get_data()
    return jsonify(size=len(content), sha256=hashlib.sha256(content).hexdigest())


@app.get("/redirect")
def redirected() -> Any:
    return redirect("/where")


@app.get("/count")
def count() -> Any:
    session["visits"] = session.get("visits", 0) + 1
    return jsonify(session["visits"])


@app.get("/error")
def error() -> Any:
    raise RuntimeError("raised by the view")


@app.post("/limited")
def limited() -> Any:
    request.max_content_length = 1000
    return jsonify(len(request.get_data()))


@sock.route("/websocket/echo")  # type: ignore[untyped-decorator]
def websocket_echo(ws: Any) -> None:
    while True:
        ws.send(ws.receive())


@sock.route("/websocket/leave")  # type: ignore[untyped-decorator]
def websocket_leave(ws: Any) -> None:
    ws.send("leaving")


@sock.route("/websocket/fail")  # type: ignore[untyped-decorator]
def websocket_fail(ws: Any) -> None:
    ws.receive()
    raise RuntimeError("raised by the handler")

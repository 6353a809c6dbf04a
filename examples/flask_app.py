"""A Flask application: a form, an upload, a redirect with a cookie, a stream, an error.

    greenserve examples/flask_app.py

A package is served the same way: `greenserve package.module:app`, or its factory:
`greenserve 'package:create_app()'`.
"""

from __future__ import annotations

import hashlib

from flask import Flask, jsonify, make_response, redirect, request, url_for

app = Flask(__name__)
app.config["MAX_CONTENT_LENGTH"] = 64 * 1024 * 1024

PAGE = """<!doctype html>
<title>greenserve and Flask</title>
<form method="post" action="/name"><input name="name"><button>Call me so</button></form>
<form method="post" action="/upload" enctype="multipart/form-data">
  <input type="file" name="file"><button>Upload</button>
</form>
<p><a href="/hello">Hello</a> <a href="/lines">A stream</a> <a href="/error">An error</a></p>
"""


@app.get("/")
def index():
    return PAGE


@app.post("/name")
def remember():
    """Keep the name in a cookie and send the browser on."""
    answer = make_response(redirect(url_for("hello"), code=303))
    answer.set_cookie("name", request.form["name"], httponly=True, samesite="Lax")
    return answer


@app.get("/hello")
def hello():
    return {"hello": request.cookies.get("name", "stranger")}


@app.post("/upload")
def upload():
    content = request.files["file"].read()
    return jsonify(size=len(content), sha256=hashlib.sha256(content).hexdigest())


@app.get("/lines")
def lines():
    """Send a thousand lines as they are made; the length is not known beforehand."""
    return (f"line {number}\n" for number in range(1000)), {"Content-Type": "text/plain"}


@app.get("/error")
def error():
    raise RuntimeError("raised by the view")

"""A Bottle application: a form, an upload, a redirect with a cookie, a stream, an error.

    greenserve examples/bottle_app.py

Bottle's own run() is not needed, and neither is its server adapter.
"""

from __future__ import annotations

import hashlib

from bottle import Bottle, redirect, request, response

app = Bottle()

PAGE = """<!doctype html>
<title>greenserve and Bottle</title>
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
    response.set_cookie("name", request.forms.name, httponly=True, samesite="lax")
    redirect("/hello", 303)


@app.get("/hello")
def hello():
    return {"hello": request.get_cookie("name", "stranger")}


@app.post("/upload")
def upload():
    content = request.files["file"].file.read()
    return {"size": len(content), "sha256": hashlib.sha256(content).hexdigest()}


@app.get("/lines")
def lines():
    """Send a thousand lines as they are made; the length is not known beforehand."""
    response.content_type = "text/plain"
    return (f"line {number}\n" for number in range(1000))


@app.get("/error")
def error():
    raise RuntimeError("raised by the view")

"""A generator application inside middleware that passes close() on.

    greenserve examples/middleware.py

The server calls close() on the iterable that it was given, whether the client read all of it or went
away.  That is the middleware's; whoever wraps an iterable owes its close() to the one inside
(PEP 3333, "Middleware: Components that Play Both Sides").  Watch stderr: every request ends in one
line, however it ended.
"""

from __future__ import annotations


def countdown(environ, start_response):
    """Count down from the number in the query string, ten if there is none: a line per block."""
    number = int(environ["QUERY_STRING"] or 10)
    start_response("200 OK", [("Content-Type", "text/plain; charset=utf-8")])
    try:
        while number:
            yield b"%d\n" % number
            number -= 1
        yield b"lift-off\n"
    finally:  # also when the client has gone: a database connection would be given back here
        environ["wsgi.errors"].write(f"countdown closed at {number}\n")
        environ["wsgi.errors"].flush()


class Uppercase:
    """Middleware: every block in capitals, one block in, one block out."""

    def __init__(self, app):
        self.app = app

    def __call__(self, environ, start_response):
        return UppercaseBlocks(self.app(environ, start_response))


class UppercaseBlocks:
    """The iterable of `Uppercase`; its close() is that of the iterable inside."""

    def __init__(self, blocks):
        self.blocks = blocks

    def __iter__(self):
        for block in self.blocks:
            yield block.upper()

    def close(self):
        if hasattr(self.blocks, "close"):
            self.blocks.close()


application = Uppercase(countdown)

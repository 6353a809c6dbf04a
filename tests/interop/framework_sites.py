"""A Flask application, a Django project and a PasteDeploy file, as sources to be written into a folder."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

FLASK_SITE = """
    from gevent import monkey
    PATCHED = monkey.is_module_patched("socket")

    import os
    from flask import Flask, request

    def create_app(name="made"):
        app = Flask(__name__)

        @app.get("/")
        def index():
            return {"pid": os.getpid(), "patched": PATCHED, "name": name, "debug": app.debug}

        return app

    if __name__ != "__main__":
        Flask("run at its import").run()  # does nothing when the command line of Flask has been used
"""

MANAGE = """
    import os, sys
    from django.core.management import execute_from_command_line

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "project.settings")
    execute_from_command_line(sys.argv)
"""
SETTINGS = """
    ALLOWED_HOSTS = ["127.0.0.1"]
    INSTALLED_APPS = ["greenserve.contrib.django"]
    ROOT_URLCONF = "project.urls"
    SECRET_KEY = "x" * 50
    WSGI_APPLICATION = "project.wsgi.application"
"""
URLS = """
    from gevent import monkey
    import os
    from django.conf import settings
    from django.http import JsonResponse
    from django.urls import path

    PATCHED = monkey.is_module_patched("socket")

    def facts(request):
        facts = {"pid": os.getpid(), "patched": PATCHED, "folder": os.getcwd()}
        return JsonResponse({**facts, "octets": len(request.body), "settings": settings.SETTINGS_MODULE})

    urlpatterns = [path("", facts)]
"""
WSGI = """
    import os
    from django.core.wsgi import get_wsgi_application

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "project.settings")
    application = get_wsgi_application()
"""

PASTE_SITE = """
    import os, socket

    def application(environ, start_response):
        if gate := environ["QUERY_STRING"]:  # the port where it waits
            with socket.create_connection(("127.0.0.1", int(gate))) as waiting:
                waiting.recv(1)
        start_response("200 OK", [("Content-Type", "application/json")])
        return [b'{"pid": %d}' % os.getpid()]

    def factory(global_conf, **settings):
        return application
"""
RUN_ENTRY_POINT = """
    from importlib.metadata import entry_points
    from shop import application

    for found in entry_points(group="paste.server_runner", name="main"):
        if found.dist.name == "greenserve":
            found.load()(application, {"here": "."}, host="127.0.0.1", port="0", server_header="pasted")
"""
RUN_PASTEDEPLOY = """
    import os
    from paste.deploy import loadapp, loadserver

    file = "config:" + os.path.abspath("shop.ini")
    loadserver(file)(loadapp(file))
"""
PASTE_FILE = """
    [DEFAULT]
    workers = 4  ; not ours: for all sections of the file

    [app:main]
    paste.app_factory = shop:factory

    [server:main]
    use = egg:greenserve#main
    bind = 127.0.0.1:0
    server_header = pasted
    graceful_timeout = 1m
"""


def write(folder: Path, **sources: str) -> Path:
    """Write modules into `folder` and return it; ``__`` in a name stands for a slash."""
    for name, source in sources.items():
        path = folder / f"{name.replace('__', '/')}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(dedent(source))
    return folder

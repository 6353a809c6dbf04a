"""A Django site for the tests: the paths that all three frameworks have, and Django's signals."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from typing import Any

from django.conf import settings

settings.configure(
    ALLOWED_HOSTS=["127.0.0.1"],
    DATA_UPLOAD_MAX_MEMORY_SIZE=64 << 20,
    LOGGING={
        "version": 1,
        "disable_existing_loggers": False,
        "handlers": {"stderr": {"class": "logging.StreamHandler"}},
        "root": {"handlers": ["stderr"]},
    },
    MIDDLEWARE=["django.contrib.sessions.middleware.SessionMiddleware"],
    ROOT_URLCONF=__name__,
    SECRET_KEY="known to everybody, and long enough for Django's checks of secrets",
    SESSION_ENGINE="django.contrib.sessions.backends.signed_cookies",
    USE_TZ=True,
)

from django.core.signals import request_finished  # noqa: E402  (behind the settings)
from django.core.wsgi import get_wsgi_application  # noqa: E402
from django.http import FileResponse, HttpResponseRedirect, JsonResponse, StreamingHttpResponse  # noqa: E402
from django.urls import path  # noqa: E402


def where(request: Any) -> Any:
    meta = request.META
    return JsonResponse(
        {"url": request.build_absolute_uri(), "address": meta["REMOTE_ADDR"], "port": meta["REMOTE_PORT"]}
    )


def stream(request: Any) -> Any:
    word = request.GET["word"]
    return StreamingHttpResponse((f"{word} {number}\n" for number in range(1000)), content_type="text/plain")


def endless(request: Any) -> Any:
    def blocks() -> Iterator[bytes]:
        try:
            while True:
                yield b"x" * 10_000
        finally:
            print("endless closed", flush=True)

    return StreamingHttpResponse(blocks())


def cut(request: Any) -> Any:
    def blocks() -> Iterator[bytes]:
        yield b"the beginning"
        raise RuntimeError("cut on purpose")

    return StreamingHttpResponse(blocks())


def download(request: Any) -> Any:
    return FileResponse(open(os.environ["FILE"], "rb"), filename="file.bin")


def upload(request: Any) -> Any:
    file = request.FILES["file"].read()
    described = {"size": len(file), "sha256": hashlib.sha256(file).hexdigest()}
    return JsonResponse({"note": request.POST["note"], **described})


def raw(request: Any) -> Any:
    return JsonResponse({"size": len(request.body), "sha256": hashlib.sha256(request.body).hexdigest()})


def redirected(request: Any) -> Any:
    return HttpResponseRedirect("/where")


def count(request: Any) -> Any:
    request.session["visits"] = request.session.get("visits", 0) + 1
    return JsonResponse(request.session["visits"], safe=False)


def error(request: Any) -> Any:
    raise RuntimeError("raised by the view")


urlpatterns = [
    path("where", where),
    path("stream", stream),
    path("endless", endless),
    path("cut", cut),
    path("download", download),
    path("upload", upload),
    path("raw", raw),
    path("redirect", redirected),
    path("count", count),
    path("error", error),
]

# What gives database connections back; it depends on close() being called on the file.
request_finished.connect(lambda **_: print("request finished", flush=True), weak=False)

application = get_wsgi_application()

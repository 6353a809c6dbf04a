"""A Django project in one file: a form, an upload, a redirect with a cookie, a stream, an error.

    greenserve examples/django_app.py

Without templates, database or middleware.  A project with a wsgi.py is served by
`greenserve project.wsgi`.
"""

from __future__ import annotations

import hashlib
import secrets

from django.conf import settings

settings.configure(
    ALLOWED_HOSTS=["127.0.0.1", "localhost"],
    DATA_UPLOAD_MAX_MEMORY_SIZE=64 * 1024 * 1024,
    DEBUG=False,
    LOGGING={  # tracebacks of views on stderr
        "version": 1,
        "disable_existing_loggers": False,  # the server's are among them
        "handlers": {"stderr": {"class": "logging.StreamHandler"}},
        "root": {"handlers": ["stderr"]},
    },
    MIDDLEWARE=[],
    ROOT_URLCONF=__name__,
    SECRET_KEY=secrets.token_urlsafe(50),
    USE_TZ=True,
)

from django.core.wsgi import get_wsgi_application  # noqa: E402 -- behind the settings
from django.http import (  # noqa: E402
    HttpResponse,
    HttpResponseRedirect,
    JsonResponse,
    StreamingHttpResponse,
)
from django.urls import path, reverse  # noqa: E402
from django.views.decorators.http import require_POST  # noqa: E402

PAGE = """<!doctype html>
<title>greenserve and Django</title>
<form method="post" action="/name"><input name="name"><button>Call me so</button></form>
<form method="post" action="/upload" enctype="multipart/form-data">
  <input type="file" name="file"><button>Upload</button>
</form>
<p><a href="/hello">Hello</a> <a href="/lines">A stream</a> <a href="/error">An error</a></p>
"""


def index(request):
    return HttpResponse(PAGE)


@require_POST
def remember(request):
    """Keep the name in a cookie and send the browser on."""
    answer = HttpResponseRedirect(reverse("hello"))
    answer.set_cookie("name", request.POST["name"], httponly=True, samesite="Lax")
    return answer


def hello(request):
    return JsonResponse({"hello": request.COOKIES.get("name", "stranger")})


@require_POST
def upload(request):
    """Answer with size and digest; what is not a form is taken as it came."""
    file = request.FILES.get("file")
    content = file.read() if file else request.body
    return JsonResponse({"size": len(content), "sha256": hashlib.sha256(content).hexdigest()})


def lines(request):
    """Send a thousand lines as they are made; the length is not known beforehand."""
    return StreamingHttpResponse((f"line {number}\n" for number in range(1000)), content_type="text/plain")


def error(request):
    raise RuntimeError("raised by the view")


urlpatterns = [
    path("", index),
    path("name", remember),
    path("hello", hello, name="hello"),
    path("upload", upload),
    path("lines", lines),
    path("error", error),
]

application = get_wsgi_application()

"""A Django view as users write them: a converter in the path, the query, a cookie, a template, and the
middleware of a new project that does without a database.
"""

from __future__ import annotations

from django.conf import settings  # type: ignore[import-untyped]  # Django has no annotations
from page import PARTS, TEMPLATE

LOADER = ("django.template.loaders.locmem.Loader", {"item.html": TEMPLATE})

settings.configure(
    ALLOWED_HOSTS=["127.0.0.1"],
    DEBUG=False,
    LOGGING_CONFIG=None,
    MIDDLEWARE=[
        "django.middleware.security.SecurityMiddleware",
        "django.middleware.common.CommonMiddleware",
        "django.middleware.csrf.CsrfViewMiddleware",
        "django.middleware.clickjacking.XFrameOptionsMiddleware",
    ],
    ROOT_URLCONF=__name__,
    SECRET_KEY="not a secret: it signs nothing",
    TEMPLATES=[
        {
            "BACKEND": "django.template.backends.django.DjangoTemplates",
            "OPTIONS": {"loaders": [("django.template.loaders.cached.Loader", [LOADER])]},
        }
    ],
    USE_TZ=True,
)

from django.core.wsgi import get_wsgi_application  # type: ignore[import-untyped]  # noqa: E402 -- behind the settings
from django.http import HttpRequest, HttpResponse  # type: ignore[import-untyped]  # noqa: E402
from django.shortcuts import render  # type: ignore[import-untyped]  # noqa: E402
from django.urls import path  # type: ignore[import-untyped]  # noqa: E402


def item(request: HttpRequest, number: int) -> HttpResponse:
    page, visitor = request.GET["page"], request.COOKIES["session"]
    values = {"number": number, "page": page, "visitor": visitor, "parts": PARTS}
    return render(request, "item.html", values)


urlpatterns = [path("items/<int:number>", item)]

application = get_wsgi_application()

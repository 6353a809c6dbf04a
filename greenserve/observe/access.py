"""The formats of the access log, by their names and by their texts."""

from __future__ import annotations

from greenserve.errors import ConfigError
from greenserve.observe.access_format import AccessFormat
from greenserve.observe.access_json import json_format
from greenserve.observe.access_text import TextFormat

COMMON = '%h %l %u %t "%r" %>s %b'
FORMATS = {"common": COMMON, "combined": COMMON + ' "%{Referer}i" "%{User-Agent}i"'}


def compile_format(format: str) -> AccessFormat:
    """Return what makes the lines of requests.

    `format` is "common", "combined", "json" or a text with the directives of Apache's mod_log_config or
    the ones of gunicorn (``%(h)s``).  Missing values are "-" (null in JSON).  Raises ConfigError for a
    format without directives and for the first unknown one, naming it and its place.
    """
    if format == "json":
        return json_format
    try:
        format.encode()
    except UnicodeEncodeError:
        raise ConfigError("access_log_format", format, "not valid UTF-8") from None
    return TextFormat(FORMATS.get(format, format))


# What gevent.pywsgi writes for a request: its end, local time, and how long it took in seconds.
pywsgi_format = TextFormat('%{c}a - - [%{end:%Y-%m-%d %H:%M:%S}t] "%r" %s %b %(L)s')

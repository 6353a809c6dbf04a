"""The page that the Flask route and the Django view render: one template, which both languages understand."""

from __future__ import annotations

TEMPLATE = """<!doctype html>
<title>Item {{ number }}</title>
<h1>Item {{ number }} on page {{ page }}</h1>
<ul>
{% for part in parts %}<li>{{ part.name }}: {{ part.price }}</li>
{% endfor %}</ul>
<p>Seen by {{ visitor }}.</p>"""

PARTS = [{"name": f"part & piece {number}", "price": number * 19} for number in range(10)]


def rendered(number: int, page: str, visitor: str) -> bytes:
    """Return what either of them has to answer."""
    lines = "".join(f"<li>{part['name']}: {part['price']}</li>\n" for part in PARTS).replace("&", "&amp;")
    return (
        f"<!doctype html>\n<title>Item {number}</title>\n<h1>Item {number} on page {page}</h1>\n"
        f"<ul>\n{lines}</ul>\n<p>Seen by {visitor}.</p>"
    ).encode()

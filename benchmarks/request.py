"""What the clients ask, and what the right answer to it is."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

Fields = tuple[tuple[str, str], ...]

HOST = "127.0.0.1"

#: The fields of a browser.  `{number}` is another one in each request.
BROWSER_FIELDS: Fields = (
    ("Host", HOST),
    ("User-Agent", "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"),
    ("Accept", "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8"),
    ("Accept-Language", "en-US,en;q=0.5"),
    ("Accept-Encoding", "gzip, deflate, br"),
    ("Connection", "keep-alive"),
    ("Referer", "http://127.0.0.1/items/"),
    ("Cookie", "session=abcdef0123456789; csrftoken={number}"),
    ("Upgrade-Insecure-Requests", "1"),
    ("Cache-Control", "max-age=0"),
)
BROWSER_PATH = "/items/{number}?page=7"
PLAIN_FIELDS: Fields = (("Host", HOST),)


@dataclass(frozen=True)
class Content:
    """Octets of an answer: a block, so many times."""

    block: bytes
    times: int = 1

    def __len__(self) -> int:
        return len(self.block) * self.times

    def blocks(self) -> Iterator[bytes]:
        for _ in range(self.times):
            yield self.block


@dataclass(frozen=True)
class Request:
    """One request, its answer included.  With `{number}` in it, it is another one each time."""

    path: str
    answer: Content
    fields: Fields = PLAIN_FIELDS
    content: int = 0  # octets that are posted
    closes: bool = False  # a connection per request

    @property
    def method(self) -> str:
        return "POST" if self.content else "GET"

    @property
    def varies(self) -> bool:
        return "{number}" in self.path

    @property
    def sent_fields(self) -> Fields:
        """All fields, those that the content and the end of the connection want included."""
        fields = self.fields
        if self.content:
            length = ("Content-Length", str(self.content))
            fields = (*fields, ("Content-Type", "application/octet-stream"), length)
        if self.closes:
            fields = (*fields, ("Connection", "close"))
        return fields

    @property
    def template(self) -> str:
        """The head, with `{number}` where it varies."""
        fields = [f"{name}: {value}" for name, value in self.sent_fields]
        return "\r\n".join([f"{self.method} {self.path} HTTP/1.1", *fields, "", ""])

    def head(self, number: int = 1) -> bytes:
        """Return the octets of the head."""
        return self.template.replace("{number}", str(number)).encode()

"""Every setting, in one frozen dataclass per feature; `Config` is all of them together.

The first line of a section's docstring is its title in ``--help`` and docs/settings.md, the rest its
introduction.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

from greenserve.config import convert
from greenserve.config.convert import number, one_of, optional, seconds, several, size, switch, text
from greenserve.config.option import convert_all, declared_options, option
from greenserve.config.processes import Processes
from greenserve.errors import ConfigError

NO_ADDRESS = "no address: HOST:PORT, [IPV6]:PORT, :PORT, unix:/PATH or fd://NUMBER is wanted"


@dataclass(frozen=True, kw_only=True)
class Application:
    """Application."""

    application: str | None = option(
        None,
        optional(text),
        'What is served: module, module:attribute, module:factory("literal", ...) or '
        "path/to/file.py[:attribute]; not given: FLASK_APP, then wsgi.py and app.py in the current folder.",
        metavar="APPLICATION",
        positional=True,
    )
    chdir: str | None = option(
        None,
        optional(convert.path),
        "Folder to change to before the application is looked for; not given: the current one.",
    )
    pythonpath: tuple[str, ...] = option(
        (),
        several(convert.path, os.pathsep),
        "Folder to import from, behind the current folder and before all others; repeatable, or separated "
        "by colons; not given: none.",
    )
    root_path: str = option(
        "", convert.root_path, "Path that the application is mounted at (SCRIPT_NAME); empty: the root."
    )


@dataclass(frozen=True, kw_only=True)
class Listening:
    """Listening."""

    bind: tuple[str, ...] = option(
        ("127.0.0.1:8000",),
        several(text, ",", empty=NO_ADDRESS),
        "Address to listen on, HOST:PORT, [IPV6]:PORT, :PORT for every interface, unix:/PATH or "
        "fd://NUMBER; repeatable, or separated by commas; port 0: a free one.",
        metavar="ADDRESS",
        flags=("-b",),
    )
    backlog: int = option(
        2048, number(at_least=1), "Connections of an address that wait in the kernel to be accepted."
    )
    unix_mode: int | None = option(
        None,
        optional(convert.mode),
        "Permissions of Unix sockets in octal digits, such as 660; not given: the umask decides.",
    )
    unix_owner: str | None = option(
        None,
        optional(convert.owner),
        "Owner of Unix sockets as user:group, user or :group; not given: who runs it.",
    )


@dataclass(frozen=True, kw_only=True)
class Capacity:
    """Capacity.

    An idle persistent connection is an open one, but takes no greenlet and does not count as a
    request.
    """

    worker_connections: int = option(
        1000, number(), "Requests that are served at the same time, the others waiting; 0: no limit."
    )
    max_connections: int = option(
        0, number(), "Connections that are open at the same time; 0: as many as descriptors allow."
    )
    spare_greenlets: int = option(
        100, number(), "Greenlets that are kept for later requests when theirs has ended; 0: none."
    )
    fresh_greenlets: bool = option(
        False,
        switch,
        "Serve every connection that gets busy in a new greenlet, which is slower, but shares nothing with "
        "earlier requests.",
    )


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Limits of a request.

    Sizes are octets, or have one of the suffixes k, m and g (1024 each).  What is past a limit is
    refused, and never reaches the application.
    """

    limit_request_line: int = option(
        8190,
        size(at_least=1),
        "Octets in the request line without its CRLF; a longer one is answered with 414.",
    )
    limit_request_fields: int = option(
        100, number(at_least=1), "Field lines in a head; more are answered with 431."
    )
    limit_request_field_size: int = option(
        16384, size(at_least=1), "Octets in a field line without its CRLF; a longer one is answered with 431."
    )
    limit_request_head: int = option(
        65536, size(at_least=1), "Octets in the request line and all field lines; more are answered with 431."
    )
    limit_request_body: int = option(
        0, size(), "Octets in the content of a request; more are answered with 413; 0: no limit."
    )
    limit_chunk_line: int = option(
        4096,
        size(at_least=1),
        "Octets in a chunk-size line with its extensions; a longer one is answered with 400.",
    )
    limit_trailers: int = option(
        8190,
        size(),
        "Octets in the trailer section of a chunked body; more are answered with 431; 0: no trailers.",
    )
    limit_drain: int = option(
        65536,
        size(),
        "Octets that are read when the application left them of a body, so that the connection persists; "
        "with more left, it closes.",
    )
    underscore_fields: str = option(
        "drop",
        one_of("drop", "refuse", "allow"),
        "What is done with a field that has an underscore in its name, since the environ cannot tell it "
        "from a dash: drop it, refuse the request with 400, or allow it.",
    )
    buffer_chunked: bool = option(
        False,
        switch,
        "Read chunked bodies to their end before the application is called, and fill in CONTENT_LENGTH, "
        "which Django needs.",
    )
    buffer_memory: int = option(
        1 << 20,
        size(),
        "Octets of a buffered body that stay in memory; a longer one goes to a temporary file.",
    )


@dataclass(frozen=True, kw_only=True)
class Timeouts:
    """Time limits.

    Durations are seconds, or have one of the suffixes ms, s, m and h.  Each limit covers a phase of
    its own; 0 turns it off where nothing else is said.
    """

    first_byte_timeout: float = option(
        30.0,
        seconds,
        "Seconds to the first byte on a new connection, which is then closed without an answer.",
    )
    head_timeout: float = option(
        10.0, seconds, "Seconds from the first byte of a head to its last; a slower one is answered with 408."
    )
    body_timeout: float = option(
        30.0, seconds, "Seconds without a byte of a body that the application waits for; then 408."
    )
    body_rate: int = option(
        0,
        size(),
        "Octets a second below which a body that the application waits for ends with 408; 0: no minimum.",
        metavar="RATE",
    )
    keepalive_timeout: float = option(
        75.0,
        seconds,
        "Seconds that a persistent connection may be idle; 0: none persists, each closes after one response.",
    )
    write_timeout: float = option(
        60.0, seconds, "Seconds in which a client takes nothing of a response; then the connection is cut."
    )
    handshake_timeout: float = option(
        10.0, seconds, "Seconds for a TLS handshake; then the connection is closed."
    )
    linger_timeout: float = option(
        2.0,
        seconds,
        "Seconds to read on at a close, so that the client gets the last response; 0: not at all.",
    )
    graceful_timeout: float = option(
        30.0, seconds, "Seconds for the requests in flight at a stop; 0: as long as they take."
    )
    drain_grace: float = option(
        0.5,
        seconds,
        "Seconds at a stop for the next request on a connection that was busy a moment ago; 0: none.",
    )


@dataclass(frozen=True, kw_only=True)
class Logs:
    """Logs."""

    access_log: str | None = option(
        "-",
        convert.log_target,
        "Where a line for each response goes: - (the standard output), stderr, a path, or none.",
    )
    access_log_format: str = option(
        "combined",
        text,
        "Form of these lines: common, combined, json, or a text with directives of Apache's mod_log_config.",
        metavar="FORMAT",
    )
    error_log: str = option(
        "-", text, "Where the messages of the server go: - (the standard error), or a path.", metavar="TARGET"
    )
    log_level: str = option(
        "info",
        one_of("debug", "info", "warning", "error", "critical"),
        "Lowest level of the messages that are logged.",
        metavar="LEVEL",
    )


@dataclass(frozen=True, kw_only=True)
class Tls:
    """TLS.

    With a certificate, all addresses speak TLS, 1.2 at least.
    """

    certfile: str | None = option(
        None, optional(convert.path), "File with the certificate and its chain in PEM; not given: no TLS."
    )
    keyfile: str | None = option(
        None,
        optional(convert.path),
        "File with the private key in PEM; not given: the key is in the certfile.",
    )
    ca_certs: str | None = option(
        None,
        optional(convert.path),
        "File with the authorities that sign client certificates, in PEM; not given: none.",
    )
    cert_reqs: str = option(
        "none", convert.verify_mode, "Certificate asked of a client: none, optional or required."
    )
    ciphers: str | None = option(
        None,
        optional(text),
        "Ciphers up to TLS 1.2, as OpenSSL writes them; not given: those that Python prefers.",
    )


@dataclass(frozen=True, kw_only=True)
class Responses:
    """Responses."""

    server_header: str = option(
        "greenserve", convert.field_value, "Value of the Server field; empty: no such field."
    )


@dataclass(frozen=True, kw_only=True)
class Config(Application, Listening, Processes, Capacity, Limits, Timeouts, Logs, Tls, Responses):
    """All settings.  Frozen; to change some of them, use dataclasses.replace() or `from_keywords`."""

    @classmethod
    def from_keywords(cls, **keywords: object) -> Config:
        """Return the defaults with `keywords` put in, native values or texts as on the command line.

        Neither the environment nor the command line is read.  Raises ConfigError for a value that a
        setting cannot have, and for a name that no setting has.
        """
        known = {each.name: each for each in declared_options(cls)}
        return cls(**convert_all(keywords, known))

    def __post_init__(self) -> None:
        """Raise ConfigError for settings that contradict each other."""
        if self.keyfile is not None and self.certfile is None:
            raise ConfigError("keyfile", self.keyfile, "a key without a certificate", "certfile")
        if self.cert_reqs != "none" and self.ca_certs is None:
            raise ConfigError("cert_reqs", self.cert_reqs, "nothing to check certificates with", "ca_certs")


#: The sections in the order in which they are described.
SECTIONS: tuple[type, ...] = Config.__bases__

"""What a request is for: the request target and the host (RFC 9112, 3.2; RFC 9110, 4.2 and 7.2)."""

from __future__ import annotations

from typing import Any
from urllib.parse import unquote_to_bytes

from greenserve.errors import ProtocolError
from greenserve.protocol.grammar import ABSOLUTE_FORM, HOST, MALFORMED_PERCENT

#: Host lines that were found well-formed, as clients spell them, and their values.  A Host is no secret;
#: bounded all the same.
known_hosts: dict[str, str] = {}
_HOSTS_LIMIT = 256


def parse_other_form(method: str, target: str, environ: dict[str, Any]) -> str:
    """Return the path and query of a target that is not in origin-form (RFC 9112, 3.2.2 to 3.2.4)."""
    if target == "*":
        if method != "OPTIONS":
            raise ProtocolError(f"the target * with {method[:64]!r}")
        return target
    match = ABSOLUTE_FORM.fullmatch(target)
    if match is None:
        raise ProtocolError(f"request target in no known form {target[:64]!r}")
    authority, rest = match[1], match[2] or "/"
    if not _is_host(authority) or authority[0] == ":":
        raise ProtocolError(f"invalid authority {authority[:64]!r}")
    if "HTTP_HOST" in environ or environ["SERVER_PROTOCOL"] == "HTTP/1.0":
        check_host(environ.get("HTTP_HOST"), 0)
        environ["HTTP_HOST"] = authority
    return rest if rest[0] == "/" else "/" + rest


def decode_path(path: str) -> str:
    """Return the path percent-decoded, one character an octet, as PEP 3333 wants it."""
    if MALFORMED_PERCENT.search(path):
        raise ProtocolError(f"malformed percent-encoding in {path[:64]!r}")
    decoded = unquote_to_bytes(path).decode("latin-1")
    if "\0" in decoded:
        raise ProtocolError(f"NUL in the path {path[:64]!r}")  # RFC 3986, 7.3: it ends C strings
    return decoded


def strip_root_path(path: str, root_path: str) -> str:
    """Return the path below SCRIPT_NAME; as it is where a front end has taken the prefix off."""
    if path.startswith(root_path) and path[len(root_path) : len(root_path) + 1] in ("", "/"):
        return path[len(root_path) :]
    return path


def _is_host(value: str) -> bool:
    """Whether `value` is a host and perhaps a port (RFC 3986, 3.2.2)."""
    if not HOST.fullmatch(value):
        return False
    if value[:1] == "[" and value[1] not in "vV":
        from ipaddress import IPv6Address  # not for every start: few hosts are written like that

        try:
            IPv6Address(value[1 : value.index("]")])
        except ValueError:
            return False
    return True


def check_host(host: str | None, http_minor: int) -> None:
    """Raise if Host is missing from HTTP/1.1, or malformed (RFC 9112, 3.2)."""
    if host is None:
        if http_minor:
            raise ProtocolError("no Host field")
        return
    line = f"Host: {host}"
    if line in known_hosts:
        return
    if not _is_host(host):
        raise ProtocolError(f"invalid Host {host[:64]!r}")
    if len(host) <= 255:
        if len(known_hosts) >= _HOSTS_LIMIT:
            known_hosts.clear()
        known_hosts[line] = known_hosts[f"host: {host}"] = host

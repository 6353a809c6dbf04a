"""What a front end says of a request, where it is to be believed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network, ip_address
from typing import Any

from greenserve.errors import ProtocolError
from greenserve.wsgi.run import Application


def trust(everybody: bool, networks: Iterable[IPv4Network | IPv6Network]) -> Callable[[str], bool]:
    """Return what says of a REMOTE_ADDR whether it is a front end's.

    One in `networks` is, and one without an address: it is on a Unix socket.
    """
    trusted = tuple(networks)

    @lru_cache(1024)
    def is_trusted(address: str) -> bool:
        return everybody or not address or any(ip_address(address) in network for network in trusted)

    return is_trusted


def behind_front_end(
    application: Application, secure: Mapping[str, str], is_trusted: Callable[[str], bool]
) -> Application:
    """Return `application` with wsgi.url_scheme as a front end says, if `is_trusted(REMOTE_ADDR)`.

    `secure` has the environ's keys of the fields and the values that mean https.  Most requests have none of
    the fields, and pay for the look-ups.  Raises ProtocolError, when called, where the fields disagree.
    """

    def forwarded(environ: dict[str, Any], start_response: Any) -> Any:
        for name in secure:
            if name in environ:
                if is_trusted(environ["REMOTE_ADDR"]):
                    environ["wsgi.url_scheme"] = scheme_of(environ)
                break
        return application(environ, start_response)

    def scheme_of(environ: dict[str, Any]) -> str:
        said = {
            set(environ[name].split(", ")) == {value} for name, value in secure.items() if name in environ
        }
        if len(said) > 1:
            raise ProtocolError("the fields of the front end disagree about the scheme")
        return "https" if said.pop() else "http"

    return forwarded

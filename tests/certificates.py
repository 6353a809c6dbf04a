"""Certificates for tests, made by the openssl command: an authority, and what it signs."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.tools import require_tool

# Strict verification (VERIFY_X509_STRICT, on by default since Python 3.13) asks for these (RFC 5280, 4.2.1).
OF_AUTHORITY = """
[req]
distinguished_name = name
x509_extensions = authority
[name]
[authority]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
"""
OF_ISSUED = """
basicConstraints = CA:FALSE
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
subjectAltName = {names}
"""

ELLIPTIC = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"]  # quick to make


def run_openssl(*arguments: str | Path) -> None:
    """Run the command.  A failure is an error with what it printed."""
    command = [require_tool("openssl"), *map(str, arguments)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60)
    if result.returncode:
        raise RuntimeError(f"{' '.join(command)}: {result.stderr}")


@dataclass(frozen=True)
class Certificate:
    """The files of a certificate and its key, in PEM."""

    certfile: str
    keyfile: str

    def encrypted_keyfile(self, password: str) -> str:
        """Return the file of the same key, encrypted."""
        path = self.keyfile + ".encrypted"
        run_openssl("pkey", "-in", self.keyfile, "-out", path, "-aes-128-cbc", "-passout", f"pass:{password}")
        return path

    def joined(self) -> str:
        """Return one file with the key and the certificate."""
        path = Path(self.certfile + ".joined")
        path.write_text(Path(self.keyfile).read_text() + Path(self.certfile).read_text())
        return str(path)


class Authority:
    """Signs certificates; its own is `certfile`.  Everything is kept in `folder`."""

    def __init__(self, folder: Path, name: str = "greenserve test authority") -> None:
        self.folder = folder
        self.certfile = str(folder / "authority.pem")
        self._keyfile = str(folder / "authority.key")
        self._settings = folder / "openssl.cnf"  # not the system's
        self._settings.write_text(OF_AUTHORITY)
        run_openssl(
            "req", "-config", self._settings, "-x509", "-nodes", "-days", "2",
            "-subj", f"/CN={name}", *ELLIPTIC, "-keyout", self._keyfile, "-out", self.certfile,
        )  # fmt: skip

    def issue(
        self, name: str, subject: str = "", names: str = "DNS:localhost,IP:127.0.0.1,IP:::1"
    ) -> Certificate:
        """Return a new certificate for `subject` (``/CN=...``, the name unless given) and the `names`."""
        request, extensions = self.folder / f"{name}.csr", self.folder / f"{name}.ext"
        issued = Certificate(str(self.folder / f"{name}.pem"), str(self.folder / f"{name}.key"))
        extensions.write_text(OF_ISSUED.format(names=names))
        run_openssl(
            "req", "-config", self._settings, "-new", "-nodes", "-utf8",
            "-subj", subject or f"/CN={name}", *ELLIPTIC, "-keyout", issued.keyfile, "-out", request,
        )  # fmt: skip
        run_openssl(
            "x509", "-req", "-days", "2", "-in", request, "-out", issued.certfile, "-extfile", extensions,
            "-CA", self.certfile, "-CAkey", self._keyfile, "-set_serial", "0x1F2E3D",
        )  # fmt: skip
        return issued

"""Certificates that stand in secrets, given to a TLS library that reads only files."""

import os
import ssl
import tempfile
from pathlib import Path


def load_pair(context: ssl.SSLContext, certificate: bytes, key: bytes | None) -> None:
    """Load our client certificate; the files live a moment in a folder that only we can read."""
    with tempfile.TemporaryDirectory(prefix="citygate-") as folder:  # mode 0700
        first = _kept(Path(folder) / "certificate", certificate)
        second = _kept(Path(folder) / "key", key) if key is not None else None
        context.load_cert_chain(first, second, password=_no_password)


def _kept(path: Path, text: bytes) -> Path:
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with open(handle, "wb") as file:  # noqa: PTH123 - a descriptor
        file.write(text)
    return path


def _no_password() -> bytes:
    """A key with a password is refused instead of asked about on the terminal."""
    return b""

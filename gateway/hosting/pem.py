"""Certificates that stand in secrets, given to a TLS library that reads only files."""

import os
import ssl
import tempfile
from pathlib import Path


def load_pair(context: ssl.SSLContext, certificate: bytes, key: bytes | None) -> None:
    """Load our client certificate; the files live a moment in a folder that only we can read."""
    with tempfile.TemporaryDirectory(prefix="citygate-") as folder:  # mode 0700
        paths = []
        for name, text in (("certificate", certificate), ("key", key)):
            if text is not None:
                path = Path(folder) / name
                handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
                with open(handle, "wb") as file:  # noqa: PTH123 - a descriptor
                    file.write(text)
                paths.append(path)
        context.load_cert_chain(*paths, password=_no_password)


def _no_password() -> bytes:
    """A key with a password is refused instead of asked about on the terminal."""
    return b""

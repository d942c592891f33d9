"""One sealing key, and the KEK that wraps keys: all that is needed before any store is opened.

Sealed values: format byte, 12 random bytes, ciphertext and tag; the format byte and the caller's
`aad` are authenticated with them.
"""

import hashlib
import os
import stat
from pathlib import Path
from typing import Final, Literal, Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

Algorithm = Literal["aes-256-gcm", "sm4-gcm"]

_AES: Final = 1
_SM4: Final = 2
_NONCE: Final = 12
_TAG: Final = 16
KEY_BYTES: Final = 32


class BadSeal(Exception):
    """A sealed value cannot be opened: damaged, of another place (aad), or another key's."""


class BadKek(Exception):
    """The key file is missing, wrong or readable by others; the text says what to do."""


class Sealer:
    """Seals and opens with one 256-bit key."""

    def __init__(self, key: bytes, algorithm: Algorithm = "aes-256-gcm") -> None:
        if len(key) != KEY_BYTES:
            raise ValueError("a sealing key has 32 bytes")
        self._aes = AESGCM(key)
        # SM4 has 128-bit keys; a hash with its own label, so that no bit is shared with AES.
        self._sm4 = hashlib.sha256(b"sm4\0" + key).digest()[:16]
        self._format = _AES if algorithm == "aes-256-gcm" else _SM4

    def seal(self, plain: bytes, *, aad: bytes) -> bytes:
        """Encrypt; `aad` names the place of the value, so that it opens nowhere else."""
        nonce = os.urandom(_NONCE)
        head = bytes((self._format,))
        if self._format == _AES:
            return head + nonce + self._aes.encrypt(nonce, plain, head + aad)
        worker = Cipher(algorithms.SM4(self._sm4), modes.GCM(nonce)).encryptor()
        worker.authenticate_additional_data(head + aad)
        return head + nonce + worker.update(plain) + worker.finalize() + worker.tag

    def open(self, sealed: bytes, *, aad: bytes) -> bytes:
        """Decrypt what `seal` made with the same `aad`, by either algorithm.

        Raises:
            BadSeal: it was not made by this key for this place, or was changed since.
        """
        head, nonce, rest = sealed[:1], sealed[1 : 1 + _NONCE], sealed[1 + _NONCE :]
        try:
            if head == bytes((_AES,)):
                return self._aes.decrypt(nonce, rest, head + aad)
            if head == bytes((_SM4,)) and len(rest) >= _TAG:
                mode = modes.GCM(nonce, rest[-_TAG:])
                worker = Cipher(algorithms.SM4(self._sm4), mode).decryptor()
                worker.authenticate_additional_data(head + aad)
                return worker.update(rest[:-_TAG]) + worker.finalize()
        except (InvalidTag, ValueError) as error:
            raise BadSeal("the value does not open") from error
        raise BadSeal("the value has an unknown format")


class Kek(Protocol):
    """What wraps keys: a file here, a key service elsewhere."""

    def wrap(self, key: bytes, /) -> bytes:
        """Encrypt a key."""
        ...

    def unwrap(self, wrapped: bytes, /) -> bytes:
        """Decrypt a key; raises `BadSeal`."""
        ...


class FileKek:
    """A KEK of 32 random bytes in a file that only we can read."""

    def __init__(self, key: bytes) -> None:
        self._sealer = Sealer(key)

    def wrap(self, key: bytes, /) -> bytes:
        """Encrypt a key."""
        return self._sealer.seal(key, aad=b"kek")

    def unwrap(self, wrapped: bytes, /) -> bytes:
        """Decrypt a key; raises `BadSeal`."""
        return self._sealer.open(wrapped, aad=b"kek")

    @classmethod
    def load(cls, path: Path) -> "FileKek":
        """Read the key file; never makes one.

        Raises:
            BadKek: missing, not 32 bytes, unreadable, or others may read it.
        """
        try:
            with path.open("rb") as file:
                info = os.fstat(file.fileno())
                key = file.read(KEY_BYTES + 1)
        except FileNotFoundError:
            raise BadKek(
                f"The key file {path} is missing. Put it back from where it is kept apart from the "
                "backups; without it no personal value in the ledger can be read."
            ) from None
        except OSError as error:
            raise BadKek(f"The key file {path} cannot be read: {error.strerror}.") from error
        if _others_may_read(info):
            raise BadKek(f"Others may read the key file {path}. Run: chmod 600 {path}")
        if len(key) != KEY_BYTES:
            raise BadKek(f"The key file {path} is not a key: it must hold exactly 32 bytes.")
        return cls(key)

    @classmethod
    def create(cls, path: Path, *, ledger: Path | None = None) -> "FileKek":
        """Make a new key file, only where there is none and no `ledger` exists yet.

        Raises:
            BadKek: a key or a ledger is there already, or the file cannot be written.
        """
        if ledger is not None and ledger.exists():
            raise BadKek(
                f"The ledger {ledger} exists but its key file {path} does not. Put the key file "
                "back; a new one could not read that ledger."
            )
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with open(handle, "wb") as file:  # noqa: PTH123 (a descriptor)
                file.write(os.urandom(KEY_BYTES))
                file.flush()
                os.fsync(file.fileno())
        except FileExistsError:
            raise BadKek(f"The key file {path} exists already and is kept as it is.") from None
        except OSError as error:
            raise BadKek(f"The key file {path} cannot be written: {error.strerror}.") from error
        return cls.load(path)


def _others_may_read(info: os.stat_result) -> bool:
    """Whether anybody but us is let in by the file's mode.

    A secret mounted by Kubernetes belongs to root and lets our group read: that is accepted.
    """
    mounted = info.st_uid == 0 and os.geteuid() != 0
    allowed = stat.S_IRWXU | (stat.S_IRGRP if mounted else 0)
    return bool(stat.S_IMODE(info.st_mode) & ~allowed)

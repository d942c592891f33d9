"""Encryption of what the stores keep, and the keyed names made from secrets.

The KEK (a file, or a provider of the same shape) wraps a few keys: the ledger's own data key, the
key of the blind index, the pairwise key K (design 12), and one data key for each citizen, so that
erasing that one erases the person. Sealed values: format byte, 12 random bytes, ciphertext and tag;
the format byte and the caller's `aad` are authenticated with them.
"""

import base64
import hashlib
import hmac
import os
import stat
import unicodedata
from pathlib import Path
from typing import Final, Literal, Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from sqlalchemy import insert, select
from sqlalchemy.engine import Connection

from gateway.store import tables
from gateway.store.ledger import Ledger

Algorithm = Literal["aes-256-gcm", "sm4-gcm"]

_AES: Final = 1
_SM4: Final = 2
_NONCE: Final = 12
_TAG: Final = 16
_KEY: Final = 32


class BadSeal(Exception):
    """A sealed value cannot be opened: damaged, of another place (aad), or another key's."""


class BadKek(Exception):
    """The key file is missing, wrong or readable by others; the text says what to do."""


class Sealer:
    """Seals and opens with one 256-bit key."""

    def __init__(self, key: bytes, algorithm: Algorithm = "aes-256-gcm") -> None:
        if len(key) != _KEY:
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
                key = file.read(_KEY + 1)
        except FileNotFoundError:
            raise BadKek(
                f"The key file {path} is missing. Put it back from where it is kept apart from the "
                "backups; without it no personal value in the ledger can be read."
            ) from None
        except OSError as error:
            raise BadKek(f"The key file {path} cannot be read: {error.strerror}.") from error
        if _others_may_read(info):
            raise BadKek(f"Others may read the key file {path}. Run: chmod 600 {path}")
        if len(key) != _KEY:
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
                file.write(os.urandom(_KEY))
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


class Keys:
    """Everything derived from the ledger's secrets; opened once at start by `open_keys`."""

    def __init__(
        self,
        kek: Kek,
        *,
        data: bytes,
        index: bytes,
        pairwise: bytes,
        algorithm: Algorithm = "aes-256-gcm",
    ) -> None:
        self._kek = kek
        self._algorithm: Algorithm = algorithm
        self._index = index
        self._pairwise = pairwise
        self.ledger = Sealer(data, algorithm)  # what has no citizen of its own
        volatile = hmac.digest(data, b"volatile", "sha256")
        self.volatile = Sealer(volatile, algorithm)  # values in Valkey

    def blind(self, *parts: str) -> str:
        """A keyed index over texts, 64 hex characters: finds a value without keeping it.

        Each part carries its length, so that ("a:b", "c") and ("a", "b:c") differ, and is taken in
        Unicode form NFC, so that what looks the same is found.

        Raises:
            TypeError: a part is not a text (1 and "1" must not meet by accident).
        """
        mac = hmac.new(self._index, digestmod="sha256")
        for part in parts:
            if not isinstance(part, str):
                raise TypeError("parts of a blind index are texts")
            raw = unicodedata.normalize("NFC", part).encode()
            mac.update(len(raw).to_bytes(4, "big") + raw)
        return mac.hexdigest()

    def subject(self, department: str, citizen: str) -> str:
        """The citizen's pseudonym at one department, 26 characters; K never rotates."""
        if "\0" in department or "\0" in citizen:
            raise ValueError("no NUL in ids: it separates them here")
        mac = hmac.digest(self._pairwise, f"{department}\0{citizen}".encode(), "sha256")
        return base64.b32encode(mac).decode()[:26].lower()

    def new_dek(self) -> bytes:
        """A new citizen's data key, wrapped."""
        return _wrap(self._kek, "dek", os.urandom(_KEY))

    def for_citizen(self, wrapped_dek: bytes) -> Sealer:
        """The sealer of one citizen; raises `BadSeal` when her key was erased."""
        return Sealer(_unwrap(self._kek, "dek", wrapped_dek), self._algorithm)


async def open_keys(ledger: Ledger, kek: Kek, *, algorithm: Algorithm = "aes-256-gcm") -> Keys:
    """Unwrap the ledger's secrets; make them in a ledger that has none yet.

    Raises:
        BadKek: the KEK is not the one that this ledger was made with.
        LedgerAway: the ledger cannot be read, or not written where it is new.
    """
    rows = await ledger.read(_secrets)
    if not rows:
        rows = await ledger.write(lambda connection: _make_secrets(connection, kek))
    try:
        opened = {name: _unwrap(kek, name, wrapped) for name, wrapped in rows.items()}
        return Keys(
            kek,
            data=opened["data"],
            index=opened["index"],
            pairwise=opened["pairwise"],
            algorithm=algorithm,
        )
    except (BadSeal, KeyError) as error:
        raise BadKek(
            "The key file does not belong to this ledger. Put back the one that it was made with."
        ) from error


def _secrets(connection: Connection) -> dict[str, bytes]:
    return {row.name: row.wrapped for row in connection.execute(select(tables.secret))}


def _make_secrets(connection: Connection, kek: Kek) -> dict[str, bytes]:
    there = _secrets(connection)  # another worker may have been first
    if there:
        return there
    made = {name: _wrap(kek, name, os.urandom(_KEY)) for name in ("data", "index", "pairwise")}
    rows = [{"name": name, "wrapped": wrapped} for name, wrapped in made.items()]
    connection.execute(insert(tables.secret), rows)
    return made


def _wrap(kek: Kek, name: str, key: bytes) -> bytes:
    # The name travels inside: whoever can write to the ledger cannot make one key pass for another.
    return kek.wrap(name.encode() + b"\0" + key)


def _unwrap(kek: Kek, name: str, wrapped: bytes) -> bytes:
    label, _, key = kek.unwrap(wrapped).partition(b"\0")
    if label != name.encode() or len(key) != _KEY:
        raise BadSeal("a key of another kind")
    return key

"""Encryption of what the stores keep, and the keyed names made from secrets.

The KEK (a file, or a provider of the same shape) wraps a few keys: the ledger's own data key, the
key of the blind index, the pairwise key K (design 12), and one data key for each citizen, so that
erasing that one erases the person.
"""

import base64
import hmac
import os
import unicodedata

from sqlalchemy import insert, select
from sqlalchemy.engine import Connection

from gateway.store import tables
from gateway.store.kek import KEY_BYTES, Algorithm, BadKek, BadSeal, FileKek, Kek, Sealer
from gateway.store.ledger import Ledger

__all__ = ["Algorithm", "BadKek", "BadSeal", "FileKek", "Kek", "Keys", "Sealer", "open_keys"]


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
        return _wrap(self._kek, "dek", os.urandom(KEY_BYTES))

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
    made = {name: _wrap(kek, name, os.urandom(KEY_BYTES)) for name in ("data", "index", "pairwise")}
    rows = [{"name": name, "wrapped": wrapped} for name, wrapped in made.items()]
    connection.execute(insert(tables.secret), rows)
    return made


def _wrap(kek: Kek, name: str, key: bytes) -> bytes:
    # The name travels inside: whoever can write to the ledger cannot make one key pass for another.
    return kek.wrap(name.encode() + b"\0" + key)


def _unwrap(kek: Kek, name: str, wrapped: bytes) -> bytes:
    label, _, key = kek.unwrap(wrapped).partition(b"\0")
    if label != name.encode() or len(key) != KEY_BYTES:
        raise BadSeal("a key of another kind")
    return key

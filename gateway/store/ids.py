"""Ids of rows, secrets handed out, and the digests that we keep instead of them."""

import hashlib
import secrets
import uuid

from gateway.clock import Clock


def new_id(clock: Clock) -> str:
    """A UUIDv7 (RFC 9562) as text: sorts by the clock's millisecond, 74 random bits after it."""
    milliseconds = clock.now() // 1000 & (1 << 48) - 1
    tail = secrets.randbits(74)
    value = milliseconds << 80 | 7 << 76 | (tail >> 62) << 64 | 2 << 62 | tail & (1 << 62) - 1
    return str(uuid.UUID(int=value))


def new_token() -> str:
    """256 random bits, base64url without padding: sessions, tickets, codes."""
    return secrets.token_urlsafe(32)


def digest(token: str) -> str:
    """What is stored instead of a token: its SHA-256, hex.

    A token has 256 bits of its own, so neither salt nor stretching adds anything.
    """
    return hashlib.sha256(token.encode()).hexdigest()

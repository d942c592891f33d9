"""Take personal values and secrets out of what is about to be logged.

The first line of defence is that nobody logs them; this is the second. It looks at the shape of
values, because a value does not say which field it came from.
"""

from functools import lru_cache
from typing import Final

import re2

MAX_TEXT: Final = 2048
_SHORT: Final = 40  # characters
_HIDDEN_KEYS: Final = frozenset(
    {
        "authorization", "cookie", "set-cookie", "password", "secret", "token", "ticket", "code",
        "claims", "id_number", "phone", "name", "address", "client_assertion", "id_token",
        "access_token", "nonce", "subject", "form",
    }
)  # fmt: skip
_SHAPES: Final = re2.compile(
    r"[0-9]{17}[0-9Xx]"  # resident identity number
    r"|\b1[0-9]{10}\b"  # telephone
    r"|[HM][0-9]{8,10}\b"  # travel permit
    r"|eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*"  # JWT
    r"|\b[A-Za-z0-9_-]{43}\b"  # 256-bit token
    r"|[A-Za-z0-9._%+-]+@[A-Za-z0-9.-]+\.[A-Za-z]{2,}"
)
_WORTH_A_LOOK: Final = re2.compile(r"[0-9]{8}|eyJ|[A-Za-z0-9_-]{43}|@")


def scrub_text(text: str) -> str:
    """The text without anything that looks personal or secret, at most 2 kB."""
    return _short(text) if len(text) <= _SHORT else _scrubbed(text)


@lru_cache(maxsize=512)
def _short(text: str) -> str:
    """Routes, methods, reasons: the same few words in every line, judged once."""
    return _scrubbed(text)


def _scrubbed(text: str) -> str:
    if len(text) > MAX_TEXT:
        text = text[:MAX_TEXT] + "…"
    if _WORTH_A_LOOK.search(text):
        return str(_SHAPES.sub("[hidden]", text))
    return text


def scrub(value: object, depth: int = 4) -> object:
    """The same for whatever a log line may carry; unknown objects are named by type only."""
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, str):
        return scrub_text(value)
    if depth == 0:
        return "[deep]"
    if isinstance(value, dict):
        return {
            str(key): "[hidden]" if str(key).lower() in _HIDDEN_KEYS else scrub(item, depth - 1)
            for key, item in list(value.items())[:50]
        }
    if isinstance(value, list | tuple | set | frozenset):
        return [scrub(item, depth - 1) for item in list(value)[:50]]
    if isinstance(value, BaseException):
        return type(value).__name__
    return f"[{type(value).__name__}]"

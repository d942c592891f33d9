"""One strict JSON reading for everything that comes from outside (reliability B20)."""

import json
from typing import Any, NoReturn

from gateway.contract.failure import CallOwner

MAX_DEPTH = 64
MAX_DIGITS = 4000


def _no_twins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    out = dict(pairs)
    if len(out) != len(pairs):
        raise ValueError("a key stands twice")
    return out


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def loads(text: str) -> Any:
    """Parse JSON text; duplicate keys, NaN, deep nesting and huge numbers are refused.

    Raises:
        ValueError: with a sentence that names what is wrong and holds no value of the document.
    """
    try:
        return json.loads(
            text.removeprefix("\ufeff"),
            object_pairs_hook=_no_twins,
            parse_constant=_no_constant,
        )
    except RecursionError:
        raise ValueError("nested too deeply") from None
    except json.JSONDecodeError as error:
        raise ValueError(f"not JSON: {error.msg} at {error.pos}") from None


def parse(text: str) -> Any:
    """The same for a department's answer: raises `CallOwner`, because it promised JSON."""
    try:
        return loads(text)
    except ValueError as error:
        raise CallOwner(what=f"answer: {error}") from None

"""One strict JSON reading for everything that comes from outside (reliability B20)."""

import json
from collections.abc import Callable
from math import isinf
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


def _finite(text: str) -> float:
    number = float(text)
    if isinf(number):
        raise ValueError("a number is too big")
    return number


def loads(text: str, *, number: Callable[[str], Any] = _finite) -> Any:
    """Parse JSON text; duplicate keys, NaN, deep nesting and huge numbers are refused.

    Numbers with a fraction or an exponent become what `number` makes of their text: a float, or
    `Decimal` where they must stay exact.

    Raises:
        ValueError: with a sentence that names what is wrong and holds no value of the document.
    """
    try:
        return json.loads(
            text.removeprefix("\ufeff"),
            object_pairs_hook=_no_twins,
            parse_constant=_no_constant,
            parse_float=number,
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

"""A model's errors in sentences a person can act on."""

import difflib
from collections.abc import Iterable, Sequence
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic_core import ErrorDetails

from gateway.conformance.surprises import shown

_NEAR = 0.6  # how alike two words are for a "did you mean"


def near(word: str, choices: Iterable[str]) -> str:
    """A "did you mean", or "" where nothing is alike."""
    found = difflib.get_close_matches(word, list(choices), 1, _NEAR)
    return f"did you mean {found[0]!r}?" if found else ""


def is_echo(problem: ErrorDetails, problems: Sequence[ErrorDetails]) -> bool:
    """Whether an error only repeats another: a list is "too short" because its items failed."""
    loc = problem["loc"]
    return problem["type"] == "too_short" and any(
        other["loc"][: len(loc)] == loc and len(other["loc"]) > len(loc) for other in problems
    )


def explain(problem: ErrorDetails, model: type[BaseModel]) -> tuple[str, str, str]:
    """Code, message and cure of one pydantic error."""
    kind, loc = problem["type"], problem["loc"]
    last = str(loc[-1]) if loc else ""
    if kind == "extra_forbidden":
        known = sorted(names_at(model, loc[:-1]))
        cure = near(last, known) or f"known keys: {', '.join(known[:30])}"
        return "unknown-key", f"unknown key {shown(last)!r}", cure
    if kind == "missing":
        return "missing", f"{last!r} is missing", f"add `{last}:` here"
    message, cure = _sentence(problem)
    return ("value" if kind == "value_error" else kind.replace("_", "-")), message, cure


def _sentence(problem: ErrorDetails) -> tuple[str, str]:
    """What is wrong with a value that stands where it should."""
    kind, value, context = problem["type"], problem["input"], problem.get("ctx", {})
    said = repr(shown(str(value))) if isinstance(value, str | int | float) else _kind(value)
    if kind == "string_type" and isinstance(value, int | float):
        word = str(value).lower() if isinstance(value, bool) else str(value)
        return f"{word} is not a text", f'put it in quotes: "{word}"'
    if kind in ("int_type", "float_type", "bool_type") and isinstance(value, str):
        return f"{said} is a text", "write it without quotes"
    if kind in ("literal_error", "enum"):
        choices = str(context.get("expected", "")).replace(" or ", ", ").replace("'", "")
        cure = near(str(value), choices.split(", ")) or f"choose one of {choices}"
        return f"{said} is not one of the choices", cure
    if kind.startswith("union_tag"):
        tags = str(context.get("expected_tags", "")) or "the kinds in the handbook"
        return "no kind that is known", f"choose one of {tags}"
    if kind == "string_pattern_mismatch":
        return f"{said} does not look right", f"it must match {context.get('pattern', '')}"
    if kind == "value_error":
        return str(context.get("error", problem["msg"])), ""
    return f"{said}: {problem['msg'].replace('Input should', 'should')}", ""


def _kind(value: object) -> str:
    """A word for a value that is not shown."""
    return {dict: "a mapping", list: "a list", type(None): "nothing"}.get(type(value), "this value")


def names_at(model: type[BaseModel], loc: Iterable[str | int]) -> set[str]:
    """The keys that a model knows at a location, over all members of a union."""
    types: list[Any] = [model]
    for part in loc:
        types = _step(_opened(types), part)
    names: set[str] = set()
    for kind in _opened(types):
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            names |= {f.alias or name for name, f in kind.model_fields.items()}
    return names


def _opened(types: list[Any]) -> list[Any]:
    """Look through Annotated and unions."""
    out: list[Any] = []
    for kind in types:
        origin = get_origin(kind)
        if origin is Annotated:
            out += _opened([get_args(kind)[0]])
        elif origin in (Union, UnionType):
            out += _opened(list(get_args(kind)))
        else:
            out.append(kind)
    return out


def _step(types: list[Any], part: str | int) -> list[Any]:
    """What lies below; a union's tag only narrows the choice."""
    below: list[Any] = []
    tagged: list[Any] = []
    for kind in types:
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            for name, spec in kind.model_fields.items():
                if part in (name, spec.alias):
                    below.append(spec.annotation)
                if get_origin(spec.annotation) is Literal and part in get_args(spec.annotation):
                    tagged.append(kind)
            if part == kind.__name__:
                tagged.append(kind)
        elif get_origin(kind) is dict:
            below.append(get_args(kind)[1])
        elif get_origin(kind) in (list, tuple, set, frozenset) and isinstance(part, int):
            below.append(get_args(kind)[0])
    return below or tagged or types

"""Edits of the registry's text that leave every other byte as it was.

The place of each value is known from strict reading, so a line is changed where it stands; only an
entry in one-line form (`gjj: {…}`) goes through ruamel, which keeps comments but may move spaces.
"""

import io
import json
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from ruamel.yaml import YAML

from gateway.conformance.document import Document, read
from gateway.registry.gather import PLUGINS, REGISTRY

_DOWN = ("suspended",)
_OPEN = ("published", "trial", "gray")


class CannotEdit(Exception):
    """The text cannot be edited: it is broken, or there is no such entry."""


def file_of(files: Mapping[str, bytes], service: str) -> str:
    """Which registry file holds an entry.

    Raises:
        CannotEdit: none does.
    """
    for path in sorted(files, key=lambda name: (name != REGISTRY, name)):
        if not path.startswith(PLUGINS) and f"{service}:".encode() in files[path]:
            value = read(files[path], path).value
            if isinstance(value, dict) and service in (value.get("services") or {}):
                return path
    raise CannotEdit(f"no entry {service!r}")


def suspend(
    text: str,
    service: str,
    *,
    reason: str,
    sentence: Mapping[str, str] | None,
    since: datetime,
) -> str:
    """Suspend a service from an instant on, until `resume`.

    Planned openings after that are taken out: a suspension ends by a person only. A planned
    retirement stays.

    Raises:
        CannotEdit: no such entry in this text, or the text is broken.
    """
    line: dict[str, Any] = {"state": "suspended", "since": since.isoformat(timespec="seconds")}
    if sentence:
        line["sentence"] = dict(sentence)
    line["reason"] = reason

    def change(lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
        past = [one for one in lines if not _later(one, since) and one["state"] not in _DOWN]
        later = [
            one for one in lines if _later(one, since) and one["state"] not in (*_OPEN, *_DOWN)
        ]
        return [*past, line, *later]

    return _with_visibility(text, service, change)


def resume(text: str, service: str) -> str:
    """Take every suspension of a service out again.

    Raises:
        CannotEdit: as `suspend`.
    """

    def change(lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
        left = [one for one in lines if one["state"] not in _DOWN]
        return left or [{"state": "published"}]

    return _with_visibility(text, service, change)


def _later(line: Mapping[str, Any], instant: datetime) -> bool:
    since = line.get("since")
    return isinstance(since, str) and datetime.fromisoformat(since) > instant


def _with_visibility(
    text: str, service: str, change: Callable[[list[dict[str, Any]]], list[dict[str, Any]]]
) -> str:
    document = read(text, REGISTRY)
    services = document.value.get("services") if isinstance(document.value, dict) else None
    entry = services.get(service) if isinstance(services, dict) else None
    if not isinstance(entry, dict):
        why = "the text is broken" if document.findings else f"no entry {service!r}"
        raise CannotEdit(why)
    lines = change(_as_lines(entry.get("visibility", "published")))
    plain = len(lines) == 1 and set(lines[0]) == {"state"}
    value: Any = lines[0]["state"] if plain else lines
    edited = _in_place(text, document, service, entry, value)
    again = read(edited, REGISTRY)
    wanted = {**entry, "visibility": value}
    if again.findings != document.findings or again.value["services"].get(service) != wanted:
        edited = _by_ruamel(text, service, value)
    return edited


def _as_lines(said: Any) -> list[dict[str, Any]]:
    lines = [{"state": said}] if isinstance(said, str) else said
    lines = [lines] if isinstance(lines, dict) else lines
    if not isinstance(lines, list) or not all(isinstance(x, dict) and "state" in x for x in lines):
        raise CannotEdit("its visibility cannot be read")
    return [dict(line) for line in lines]


def _in_place(
    text: str, document: Document, service: str, entry: Mapping[str, Any], value: Any
) -> str:
    """Replace the lines of `visibility:`, or add them at the end of the entry."""
    end_of_line = "\r\n" if "\r\n" in text else "\n"
    lines = text.split("\n")
    first = next(iter(entry))
    _, column = document.place(("services", service, first), key=True)
    indent = " " * (column - 1)
    written = _written(value, indent, end_of_line.removesuffix("\n"))
    if "visibility" in entry:
        begin = document.place(("services", service, "visibility"), key=True)[0] - 1
        end = _end_of(lines, begin, column - 1)
        tail = _comment(lines[begin]) if end == begin + 1 else ""
        written[0] = written[0].removesuffix("\r") + tail if tail else written[0]
        notes = [line for line in lines[begin + 1 : end] if line.lstrip().startswith("#")]
        written[1:1] = notes  # comments between the lines of the old list
    else:
        begin = end = _end_of(
            lines, document.place(("services", service), key=True)[0] - 1, column - 2
        )
    return "\n".join([*lines[:begin], *written, *lines[end:]])


def _comment(line: str) -> str:
    """The comment after a value on the same line, with its spaces."""
    at = line.find(" #")
    return (
        line[len(line[:at].rstrip()) :] if at >= 0 and '"' not in line and "'" not in line else ""
    )


def _end_of(lines: list[str], begin: int, indent: int) -> int:
    """The line after the block that begins at `begin`, without blank lines and comments after it."""
    end = begin + 1
    last = end
    while end < len(lines):
        body = lines[end].strip()
        depth = len(lines[end]) - len(lines[end].lstrip())
        listed = depth == indent and body.startswith("- ")
        if body and not body.startswith("#"):
            if depth <= indent and not listed:
                break
            last = end + 1
        end += 1
    return last


def _written(value: Any, indent: str, ending: str) -> list[str]:
    if isinstance(value, str):
        return [f"{indent}visibility: {value}{ending}"]
    rows = [f"{indent}visibility:{ending}"]
    return rows + [f"{indent}  - {_flow(line)}{ending}" for line in value]


def _flow(value: Any) -> str:
    """A value in one line: words bare, texts in quotes."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}: {_flow(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(_flow(item) for item in value) + "]"
    if isinstance(value, str) and value.isascii() and value.replace("-", "").isalpha():
        return value if value not in ("yes", "no", "on", "off", "y", "n", "true", "false", "null") \
            else json.dumps(value)  # fmt: skip
    return json.dumps(value, ensure_ascii=False)


def _by_ruamel(text: str, service: str, value: Any) -> str:
    yaml = YAML()
    yaml.preserve_quotes = True
    yaml.width = 4096
    whole = yaml.load(text)
    whole["services"][service]["visibility"] = value
    out = io.StringIO()
    yaml.dump(whole, out)
    edited = out.getvalue()
    if read(edited, REGISTRY).findings:
        raise CannotEdit(f"the entry {service!r} has a form that cannot be edited here")
    return edited


def add_entry(
    text: str,
    service: str,
    *,
    plugin: str,
    topic: str,
    lane: str = "",
    order: int | None = None,
    title: str = "",
) -> str:
    """Add an entry for a plugin's service after the last one.

    Raises:
        CannotEdit: there is such an entry, or the text is broken.
    """
    document = read(text, REGISTRY)
    if not document.whole or not isinstance(document.value, dict):
        raise CannotEdit("the text is broken")
    services = document.value.get("services")
    if isinstance(services, dict) and service in services:
        raise CannotEdit(f"there is an entry {service!r} already")
    lines = text.rstrip("\n").split("\n")
    ending = "\r" if lines[0].endswith("\r") else ""
    if services:
        last = list(services)[-1]
        line, column = document.place(("services", last), key=True)
        begin, indent = _end_of(lines, line - 1, column - 1), " " * (column - 1)
    else:
        begin, indent = len(lines), "  "
        if "services" in document.value:
            begin = document.place(("services",), key=True)[0]
            lines[begin - 1] = "services:" + ending
        else:
            lines.append("services:" + ending)
            begin += 1
    comment = f"  # {title}" if title else ""
    new = [
        f"{indent}{service}:{comment}",
        f"{indent}  plugin: {plugin}",
        f"{indent}  topic: {topic}",
    ]
    new += [f"{indent}  order: {order}"] if order is not None else []
    new += [f"{indent}  lane: {lane}"] if lane else []
    edited = "\n".join([*lines[:begin], *(row + ending for row in new), *lines[begin:]]) + "\n"
    if service not in (read(edited, REGISTRY).value or {}).get("services", {}):
        raise CannotEdit("`services:` has a form that cannot be edited here")
    return edited

"""Values from libyaml's events, with the mark of each: the engine of `document.read`."""

from dataclasses import dataclass
from typing import Any, Final

import yaml
from yaml import events

from gateway.conformance import surprises
from gateway.conformance.finding import Finding, Severity

MAX_DEPTH: Final = 20
MAX_NODES: Final = 500_000
MAX_FINDINGS: Final = 200

Loc = tuple[str | int, ...]
Mark = tuple[int, int]  # line and column, from 0
_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class Stop(Exception):
    """Reading cannot go on."""


@dataclass(slots=True)
class _Frame:
    """One open list or mapping."""

    value: Any
    path: Loc
    keys: dict[str, Mark] | None  # None: a list
    key: str | None = None
    flow: bool = False


class Reader:
    """Builds values from events; one for each document."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.findings: list[Finding] = []
        self.places: dict[Loc, Mark] = {}
        self.keys: dict[Loc, dict[str, Mark]] = {}
        self.stack: list[_Frame] = []
        self.root: Any = None
        self.documents = 0
        self.text = ""

    def bad(self, code: str, mark: Mark, *, severity: Severity = "error", **places: object) -> None:
        """Note one surprise; too many end the reading."""
        message, cure = surprises.sentence(code, **places)
        top = self.stack[-1] if self.stack else None
        way = ".".join(map(str, top.path)) if top else ""
        self.findings.append(
            Finding(self.name, mark[0] + 1, mark[1] + 1, code, severity, way, message, cure)
        )
        if len(self.findings) >= MAX_FINDINGS:
            raise Stop

    def run(self, text: str) -> None:
        """Take every event of the text; raises `Stop` or PyYAML's errors."""
        self.text = text
        loader = _Loader(text)
        try:
            while True:
                event = loader.get_event()
                if type(event) is events.StreamEndEvent:
                    return
                self.take(event)
        finally:
            loader.dispose()

    def take(self, event: Any) -> None:
        """One event: begin, end, key or value."""
        kind = type(event)
        if kind in (events.SequenceEndEvent, events.MappingEndEvent):
            self.stack.pop()
        elif kind is events.DocumentStartEvent:
            self.documents += 1
            if self.documents > 1:
                mark = event.start_mark
                self.bad("second-document", (mark.line, mark.column))
                raise Stop
        elif kind not in (events.StreamStartEvent, events.DocumentEndEvent):
            self.node(event, kind)

    def node(self, event: Any, kind: type) -> None:
        """A scalar, list, mapping or alias."""
        mark = (event.start_mark.line, event.start_mark.column)
        self.refuse_magic(event, kind, mark)
        top = self.stack[-1] if self.stack else None
        if top and top.keys is not None and top.key is None:
            self.key(event, kind, mark, top)
            return
        if kind is events.ScalarEvent:
            value = self.scalar(event, mark, flow=bool(top and top.flow))
        elif kind is events.AliasEvent:
            value = None
        else:
            value = {} if kind is events.MappingStartEvent else []
        path = self.put(value, top)
        self.places[path] = mark
        if len(self.places) > MAX_NODES:
            self.bad("too-big", mark, most=f"{MAX_NODES} values")
            raise Stop
        if kind in (events.MappingStartEvent, events.SequenceStartEvent):
            self.open(event, kind, value, path, mark)

    def open(self, event: Any, kind: type, value: Any, path: Loc, mark: Mark) -> None:
        """Enter a list or mapping."""
        if len(self.stack) >= MAX_DEPTH:
            self.bad("too-deep", mark, most=MAX_DEPTH)
            raise Stop
        keys: dict[str, Mark] | None = {} if kind is events.MappingStartEvent else None
        self.stack.append(_Frame(value, path, keys, flow=bool(event.flow_style)))
        if keys is not None:
            self.keys[path] = keys

    def refuse_magic(self, event: Any, kind: type, mark: Mark) -> None:
        """Anchors, aliases and tags: one value would depend on another, or on a tool."""
        if kind is events.AliasEvent:
            self.bad("alias", mark, name=event.anchor)
            return
        if event.anchor is not None:
            self.bad("anchor", mark, name=event.anchor)
        if event.tag is not None:
            self.bad("tag", mark, name=event.tag)

    def key(self, event: Any, kind: type, mark: Mark, top: _Frame) -> None:
        """A key is due in a mapping."""
        if kind is not events.ScalarEvent:
            self.bad("key", mark)
            raise Stop
        name = event.value
        keys = top.keys if top.keys is not None else {}
        if name == "<<" and event.implicit[0]:
            self.bad("merge", mark)
        elif name in keys:
            self.bad("twice", mark, name=name, first=keys[name][0] + 1)
        elif event.implicit[0] and (code := surprises.odd_key(name)):
            self.bad(code, mark, value=surprises.shown(name))
        keys.setdefault(name, mark)
        top.key = name

    def put(self, value: Any, top: _Frame | None) -> Loc:
        """Put a value where it belongs; of two equal keys the first stays."""
        if top is None:
            self.root = value
            return ()
        if top.keys is None:
            top.value.append(value)
            return (*top.path, len(top.value) - 1)
        key, top.key = top.key, None
        path: Loc = (*top.path, str(key))
        if key in top.value:
            return (*top.path, str(key), "twice")
        top.value[key] = value
        return path

    def scalar(self, event: Any, mark: Mark, *, flow: bool) -> Any:
        """The value of a scalar by JSON's rules; surprises become findings."""
        text = event.value
        if not event.implicit[0]:
            if (odd := surprises.hidden(text)) and odd[1] not in self.text:
                self.bad(odd[0], mark, number=ord(odd[1]))  # written as an escape
            return text
        value, code = surprises.plain(text, flow=flow)
        if code == "full-width-colon" and event.end_mark.line > mark[0]:
            value, code = text, ""  # several lines of running text
        if code:
            top = self.stack[-1] if self.stack else None
            severity: Severity = "warning" if code in surprises.MILD else "error"
            self.bad(
                code, mark, severity=severity, value=surprises.shown(text), key=top and top.key
            )
        return value

"""A recipe's call to the request that it makes: taken apart once, filled for each ask."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from gateway.contract.recipe import Call, Soap
from gateway.hosting import draft as drafts
from gateway.hosting.draft import Charset, Draft, Envelope, Pair
from gateway.hosting.recipes.places import (
    BadPlace,
    Template,
    Values,
    each_text,
    filled,
    one_line,
    plain,
    template,
)

# never in an address: addresses end in other people's logs
_ADDRESS: Final = ("citizen", "setting", "ask", "now", "call")
_ELEMENT: Final = re.compile(r"(?:([A-Za-z_][\w.-]*):)?[A-Za-z_][\w.-]*")
MAX_DEPTH: Final = 16


@dataclass(frozen=True, slots=True)
class Request:
    """One call's request."""

    call: Call
    charset: Charset
    path: Template
    query: tuple[tuple[str, Template], ...]
    headers: tuple[tuple[str, Template], ...]
    json: Any  # a JSON value whose texts are templates
    form: Mapping[str, Template] | None
    text: Template | None  # of `xml` or `text`
    soap: Any  # {element: map | list | template}

    @property
    def idempotent(self) -> bool:
        """Whether asking twice is as good as asking once."""
        said = self.call.idempotent
        return self.call.method in ("GET", "HEAD") if said is None else said

    def draft(self, values: Values) -> Draft:
        """The request of one ask.

        Raises:
            MissingClaim: a place has no value for this citizen.
            CallOwner: another place has none, or a value cannot be sent where it stands.
        """
        encoded = self.charset
        path = self.path.fill(values, lambda value: drafts.quoted(value, encoded))
        query = tuple(
            (drafts.quoted(name, encoded), drafts.quoted(value.fill(values, plain), encoded))
            for name, value in self.query
        )
        headers, body, envelope = self._body(values)
        made = Draft(
            method=self.call.method,
            path=drafts.straight(drafts.literal_path(path)),
            query=query,
            body=body,
            idempotent=self.idempotent,
            envelope=envelope,
        )
        own = [drafts.header(name, value.fill(values, one_line)) for name, value in self.headers]
        return made.having(*headers).having(*own)

    def _body(self, values: Values) -> tuple[list[Pair], bytes, Envelope | None]:
        """The body with the headers that belong to its kind."""
        accept = ("Accept", _ACCEPT[self.call.read])
        if self.json is not None:
            body = drafts.json_body(filled(self.json, values))
            return [accept, ("Content-Type", "application/json")], body, None
        if self.form is not None:
            fields = {name: value.fill(values, plain) for name, value in self.form.items()}
            kind = ("Content-Type", "application/x-www-form-urlencoded")
            return [accept, kind], drafts.form_body(fields, self.charset), None
        if self.soap is not None and self.call.soap is not None:
            return self._soap(self.call.soap, values)
        if self.text is None:
            return [accept], b"", None
        if self.call.xml is not None:
            body = drafts.xml_body(self.text.fill(values, drafts.xml_value), self.charset)
            return [accept, drafts.content_type("text/xml", self.charset)], body, None
        body = self.text.fill(values, one_line).encode(drafts.encoding(self.charset))
        return [accept, drafts.content_type("text/plain", self.charset)], body, None

    def _soap(self, soap: Soap, values: Values) -> tuple[list[Pair], bytes, Envelope]:
        body = _elements(self.soap, values)
        envelope = Envelope(soap.version, body, tuple(self.call.ns.items()), self.charset)
        if soap.version == "1.1":
            kind = drafts.content_type("text/xml", self.charset)
            return [kind, drafts.header("SOAPAction", f'"{soap.action}"')], b"", envelope
        name, said = drafts.content_type("application/soap+xml", self.charset)
        said = f'{said}; action="{soap.action}"' if soap.action else said
        return [drafts.header(name, said)], b"", envelope


_ACCEPT: Final = {
    "json": "application/json",
    "xml": "text/xml, application/xml",
    "csv": "text/csv",
    "rss": "application/rss+xml, application/atom+xml, text/xml",
    "text": "text/plain, */*",
}


def request(call: Call, charset: Charset) -> Request:
    """Take a call's texts apart.

    Raises:
        BadPlace: a text with a place that may not stand there, or an element that has no name.
    """
    written = call.xml if call.xml is not None else call.text
    if call.soap is not None:
        _named(call.soap.body, call.ns)
    return Request(
        call=call,
        charset=charset,
        path=template(call.path, allowed=_ADDRESS),
        query=tuple((name, template(v, allowed=_ADDRESS)) for name, v in call.query.items()),
        headers=tuple((name, template(v)) for name, v in call.headers.items()),
        json=None if call.json_ is None else each_text(call.json_, template),
        form=None if call.form is None else {k: template(v) for k, v in call.form.items()},
        text=None if written is None else template(written),
        soap=None if call.soap is None else each_text(call.soap.body, template),
    )


def _named(body: Any, ns: Mapping[str, str], depth: int = 0) -> None:
    """Each key of a SOAP body is an element whose prefix is declared."""
    if depth > MAX_DEPTH:
        raise BadPlace(f"a SOAP body is at most {MAX_DEPTH} deep")
    if isinstance(body, list):
        for item in body:
            _named(item, ns, depth + 1)
    elif isinstance(body, Mapping):
        for name, inner in body.items():
            match = _ELEMENT.fullmatch(str(name))
            if match is None or (match[1] is not None and match[1] not in ns):
                raise BadPlace(f"{str(name)[:40]!r} is no element; prefixes stand in `ns:`")
            _named(inner, ns, depth + 1)


def _elements(node: Any, values: Values) -> str:
    """A mapping as XML elements; a list repeats its element."""
    if isinstance(node, Mapping):
        return "".join(
            f"<{name}>{_elements(item, values)}</{name}>"
            for name, inner in node.items()
            for item in (inner if isinstance(inner, list) else [inner])
        )
    value = filled(node, values)
    if value is None:
        return ""
    said = str(value).lower() if isinstance(value, bool) else str(value)
    return drafts.xml_value(said)

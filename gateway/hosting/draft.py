"""A request before it leaves: what a recipe or a code plugin wants to ask, not yet proved.

Auth adds headers (or a SOAP header), `sealed` makes the bytes, a signature signs exactly those.
"""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal
from urllib.parse import quote
from xml.sax.saxutils import escape

from gateway.contract.failure import CallOwner

Charset = Literal["auto", "utf-8", "gb18030"]
Pair = tuple[str, str]
_SOAP_11: Final = "http://schemas.xmlsoap.org/soap/envelope/"
_SOAP_12: Final = "http://www.w3.org/2003/05/soap-envelope"
_PATH_SAFE: Final = "/%:@!$&'()*+,;=~-._"
_DOTS: Final = re.compile(r"(?:^|/)(?:\.|%2[eE]){1,2}(?:/|$)")
_NOT_XML: Final = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
_TOKEN: Final = re.compile(r"[A-Za-z0-9-]{1,60}")
_OURS: Final = frozenset(
    [
        "accept-encoding",
        "connection",
        "content-length",
        "cookie",
        "host",
        "proxy-authorization",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    ]
)


@dataclass(frozen=True, slots=True)
class Envelope:
    """A SOAP body that still waits for its header."""

    version: Literal["1.1", "1.2"]
    body: str  # XML
    ns: tuple[Pair, ...]
    charset: Charset


@dataclass(frozen=True, slots=True)
class Draft:
    """One request; `path` and `query` are percent-encoded already and go out as they are."""

    method: str
    path: str
    query: tuple[Pair, ...] = ()
    headers: tuple[Pair, ...] = ()
    body: bytes = b""
    idempotent: bool = True
    envelope: Envelope | None = field(default=None)

    @property
    def target(self) -> str:
        """Path and query as they stand in the request line."""
        return f"{self.path}?{joined(self.query)}" if self.query else self.path

    def having(self, *headers: Pair) -> "Draft":
        """The same with headers; one of the same name is replaced."""
        names = {name.lower() for name, _ in headers}
        kept = tuple(pair for pair in self.headers if pair[0].lower() not in names)
        return replace(self, headers=(*kept, *headers))

    def asking(self, *pairs: Pair) -> "Draft":
        """The same with more query parameters, given unencoded."""
        encoded = tuple((quoted(name), quoted(value)) for name, value in pairs)
        return replace(self, query=(*self.query, *encoded))

    def sealed(self, header: str = "") -> "Draft":
        """The same with its envelope made into bytes; `header` is XML for the SOAP header."""
        if self.envelope is None:
            return self
        return replace(self, envelope=None, body=_wrapped(self.envelope, header))


def joined(pairs: Iterable[Pair]) -> str:
    """Encoded pairs as a query text."""
    return "&".join(f"{name}={value}" for name, value in pairs)


def encoding(charset: Charset) -> Literal["utf-8", "gb18030"]:
    """In what we write: the department's charset, UTF-8 where it names none."""
    return "gb18030" if charset == "gb18030" else "utf-8"


def quoted(text: str, charset: Charset = "utf-8") -> str:
    """A value percent-encoded for path, query or form: every reserved character too."""
    return quote(text, safe="", encoding=encoding(charset))


def literal_path(text: str) -> str:
    """A path as its author wrote it: what he encoded stays, the rest is encoded."""
    return quote(text, safe=_PATH_SAFE)


def straight(path: str) -> str:
    """A path without `.` and `..` segments: a value must not climb out of where it was put.

    Raises:
        CallOwner: it holds one.
    """
    if _DOTS.search(path):
        raise CallOwner(what="a value makes a path of dots")
    return path


def header(name: str, value: str) -> Pair:
    """A header that may be sent by a plugin.

    Raises:
        CallOwner: its name is ours or no name, or its value is not printable ASCII.
    """
    if not _TOKEN.fullmatch(name) or name.lower() in _OURS:
        raise CallOwner(what="a header that may not be set")
    if not value.isascii() or not value.isprintable():
        raise CallOwner(what=f"header {name}: not printable ASCII")
    return (name, value)


def json_body(value: Any) -> bytes:
    """JSON that is ASCII only, so that it is right in every charset."""
    return json.dumps(value, separators=(",", ":"), allow_nan=False).encode()


def form_body(fields: Mapping[str, str], charset: Charset) -> bytes:
    """`application/x-www-form-urlencoded` in the department's charset."""
    pairs = ((quoted(k, charset), quoted(v, charset)) for k, v in fields.items())
    return joined(pairs).encode()


def xml_value(value: str) -> str:
    """A value inside XML, as text or in a quoted attribute.

    Raises:
        CallOwner: it holds a character that XML cannot.
    """
    if _NOT_XML.search(value):
        raise CallOwner(what="a value to be sent holds characters that XML cannot")
    return escape(value, {'"': "&quot;", "'": "&apos;", "\r": "&#13;"})


def xml_body(text: str, charset: Charset) -> bytes:
    """An XML document in the department's charset, with a declaration that says so."""
    name = encoding(charset)
    if not text.lstrip().startswith("<?xml"):
        text = f'<?xml version="1.0" encoding="{name.upper()}"?>\n{text}'
    return text.encode(name)


def content_type(kind: str, charset: Charset) -> Pair:
    """`Content-Type` of a text in the department's charset."""
    return ("Content-Type", f"{kind}; charset={encoding(charset).upper()}")


def _wrapped(envelope: Envelope, header_xml: str) -> bytes:
    """The whole SOAP document."""
    space = _SOAP_11 if envelope.version == "1.1" else _SOAP_12
    names = "".join(f' xmlns:{prefix}="{xml_value(uri)}"' for prefix, uri in envelope.ns)
    head = f"<soapenv:Header>{header_xml}</soapenv:Header>" if header_xml else ""
    text = (
        f'<soapenv:Envelope xmlns:soapenv="{space}"{names}>'
        f"{head}<soapenv:Body>{envelope.body}</soapenv:Body></soapenv:Envelope>"
    )
    return xml_body(text, envelope.charset)

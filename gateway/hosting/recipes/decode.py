"""A department's bytes to a document, strictly; anything else is its owner's to mend.

json → dicts and lists with Decimal numbers; xml → an lxml element; csv → `{"rows": [...]}`;
rss → `{"title": …, "items": [...]}`; text → str. XML takes no DOCTYPE, entities, network or huge
trees. All sizes are bounded: the caller caps the bytes, this module depth and nodes.
"""

import csv
import html
import io
import re
from codecs import BOM_UTF8, BOM_UTF16_BE, BOM_UTF16_LE
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from email.utils import parsedate_to_datetime
from typing import Any, Final, Literal

from lxml import etree

from gateway.contract import strict_json
from gateway.contract.failure import CallOwner
from gateway.contract.recipe import Read

MAX_DEPTH: Final = 64
MAX_NODES: Final = 100_000
Charset = Literal["auto", "utf-8", "gb18030"]

_LABEL: Final = re.compile(r"charset\s*=\s*[\"']?([A-Za-z0-9_.:-]{1,40})", re.IGNORECASE)
_PROLOG: Final = re.compile(r"^\s*<\?xml[^>]{0,200}?encoding\s*=\s*[\"']([A-Za-z0-9_.:-]{1,40})")
_DECLARATION: Final = re.compile(r"^\s*<\?xml[^>]{0,300}\?>")
_OURS: Final = {
    "utf-8": "utf-8",
    "utf8": "utf-8",
    "us-ascii": "utf-8",
    "ascii": "utf-8",
    "gbk": "gb18030",
    "gb2312": "gb18030",
    "gb18030": "gb18030",
    "x-gbk": "gb18030",
    "cp936": "gb18030",
}


class WrongEncoding(CallOwner):
    """Bytes that are not in the department's charset."""


def decoded(body: bytes, charset: Charset, content_type: str = "") -> str:
    """The text of an answer.

    A charset that the manifest names is the only one tried, whatever the label says (GBK is read
    as GB18030, which holds it). `auto`: the label, then the XML prolog, then UTF-8, then GB18030.

    Raises:
        WrongEncoding: the bytes are not text in that charset.
    """
    if body.startswith((BOM_UTF16_LE, BOM_UTF16_BE)):
        raise WrongEncoding(what="answer is UTF-16; contract says utf-8 or gb18030")
    body = body.removeprefix(BOM_UTF8)
    names: tuple[str, ...] = (charset,) if charset != "auto" else _guesses(body, content_type)
    for name in names:
        try:
            text = body.decode(name)
        except UnicodeDecodeError:
            continue
        if name == "utf-8" or not _mojibake(text):
            return text
    raise WrongEncoding(what=f"answer is not {' or '.join(names)}")


def _guesses(body: bytes, content_type: str) -> tuple[str, ...]:
    """What to try where the manifest names no charset."""
    said = _LABEL.search(content_type) or _PROLOG.match(body[:400].decode("latin-1"))
    named = said[1].lower() if said else ""
    if not named:
        return ("utf-8", "gb18030")
    if named not in _OURS:
        raise WrongEncoding(what=f"answer is labelled {named}; contract says utf-8 or gb18030")
    # labels lie: a page labelled gb2312 is often utf-8, which GB18030 would show as mojibake
    return ("utf-8", "gb18030") if _OURS[named] == "gb18030" else ("utf-8",)


def _mojibake(text: str) -> bool:
    """Signs that GB18030 was guessed wrongly: private use, unassigned, replacement characters."""
    return any("\ue000" <= letter <= "\uf8ff" or letter == "\ufffd" for letter in text)


def document(text: str, read: Read, delimiter: str = ",") -> Any:
    """The document of an answer's text.

    Raises:
        CallOwner: it is not what the recipe promises; never with a value of the answer.
    """
    match read:
        case "json":
            return json_document(text)
        case "xml":
            return xml_document(text)
        case "csv":
            return {"rows": list(csv_rows(text, delimiter))}
        case "rss":
            return _feed(xml_document(text))
        case "text":
            return text


def json_document(text: str) -> Any:
    """Strict JSON with exact numbers, bounded depth and nodes."""
    start = text.lstrip()[:1]
    if start == "<":
        raise CallOwner(what="answer is an HTML or XML page, not JSON")
    if not start:
        raise CallOwner(what="answer is empty, not JSON")
    try:
        value = strict_json.loads(text, number=Decimal)
    except ValueError as error:
        raise CallOwner(what=f"answer: {error}") from None
    _bounded(value)
    return value


def _bounded(value: Any) -> None:
    """Depth and nodes of a JSON value."""
    nodes = 0
    level = [value]
    for _ in range(MAX_DEPTH):
        below: list[Any] = []
        for item in level:
            if isinstance(item, dict):
                below.extend(item.values())
            elif isinstance(item, list):
                below.extend(item)
        nodes += len(below)
        if nodes > MAX_NODES:
            raise CallOwner(what=f"answer: more than {MAX_NODES} values")
        if not below:
            return
        level = [item for item in below if isinstance(item, dict | list)]
        if not level:
            return
    raise CallOwner(what=f"answer: nested deeper than {MAX_DEPTH}")


def xml_document(text: str) -> Any:
    """XML with every door shut: no DOCTYPE, entities, network, comments, instructions.

    The declaration is dropped: the text is decoded already, by the manifest's charset and not by
    what the document says of itself.
    """
    text = _DECLARATION.sub("", text.removeprefix("\ufeff"), count=1)
    if not text.strip():
        raise CallOwner(what="answer is empty, not XML")
    if _has_doctype(text):
        raise CallOwner(what="answer: DOCTYPE is refused")
    parser = etree.XMLParser(
        encoding="utf-8",
        resolve_entities=False,
        no_network=True,
        load_dtd=False,
        dtd_validation=False,
        huge_tree=False,
        recover=False,
        remove_comments=True,
        remove_pis=True,
    )
    try:
        root = etree.fromstring(text.strip().encode("utf-8"), parser)
    except (etree.XMLSyntaxError, UnicodeEncodeError) as error:
        line = getattr(error, "lineno", None)
        raise CallOwner(what=f"answer: not well-formed XML (line {line})") from None
    _bounded_tree(root)
    return root


def _has_doctype(text: str) -> bool:
    """Whether a DOCTYPE stands before the first element."""
    at = 0
    while True:
        at = text.find("<", at)
        if at < 0:
            return False
        if text.startswith("<!--", at):
            at = text.find("-->", at)
        elif text.startswith("<?", at):
            at = text.find("?>", at)
        else:
            return text.startswith("<!", at)
        if at < 0:
            return False


def _bounded_tree(root: Any) -> None:
    nodes = depth = 0
    for event, _ in etree.iterwalk(root, events=("start", "end")):
        if event == "end":
            depth -= 1
            continue
        depth, nodes = depth + 1, nodes + 1
        if depth > MAX_DEPTH or nodes > MAX_NODES:
            raise CallOwner(what=f"answer: deeper than {MAX_DEPTH} or more than {MAX_NODES} nodes")


def csv_rows(text: str, delimiter: str) -> Iterator[dict[str, str]]:
    """Rows by header; a row of another length or a header that stands twice is refused."""
    reader = csv.reader(io.StringIO(text.removeprefix("\ufeff")), delimiter=delimiter, strict=True)
    try:
        header = [name.strip() for name in next(reader, [])]
        if not header or len(set(header)) != len(header):
            raise CallOwner(what="answer: no CSV header, or a column stands twice")
        for number, row in enumerate(reader, start=2):
            if not row:
                continue
            if len(row) != len(header):
                raise CallOwner(what=f"answer: CSV line {number} has {len(row)} columns")
            yield dict(zip(header, (cell.strip() for cell in row), strict=True))
    except csv.Error as error:
        raise CallOwner(what=f"answer: not CSV ({str(error)[:60]})") from None


# --- feeds ------------------------------------------------------------------------------------

_TAGS: Final = re.compile(r"<[^<>]{0,2000}>")
_ATOM: Final = {"entry": "item", "summary": "description", "updated": "published", "id": "guid"}
_FEED_NAMES: Final = {"pubDate": "published", "date": "published", **_ATOM}


def _feed(root: Any) -> Mapping[str, Any]:
    """RSS 2.0 or Atom as plain values: `{title, items: [{title, link, published, …}]}`."""
    kind = etree.QName(root).localname
    channel = root.find("channel") if kind == "rss" else root
    if kind not in ("rss", "feed") or channel is None:
        raise CallOwner(what="answer: neither RSS nor Atom")
    out: dict[str, Any] = {"title": "", "items": []}
    for child in channel:
        name = etree.QName(child).localname
        if name in ("item", "entry"):
            out["items"].append(_entry(child))
        elif name == "title":
            out["title"] = _plain(child)
    return out


def _entry(node: Any) -> dict[str, str]:
    entry: dict[str, str] = {}
    for child in node:
        local = etree.QName(child).localname
        name = _FEED_NAMES.get(local, local)
        text = _plain(child) or child.get("href", "") or child.get("term", "")
        if name == "published":
            text = _moment(text)
        entry.setdefault(name, text)
    return entry


def _plain(node: Any) -> str:
    """An element's text without the HTML that feeds carry."""
    text = "".join(node.itertext())
    return " ".join(html.unescape(_TAGS.sub(" ", text)).split())


def _moment(text: str) -> str:
    """A feed's date as RFC 3339; unchanged where it is none."""
    try:
        made = parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError):
        return text
    aware: datetime = made if made.tzinfo else made.replace(tzinfo=UTC)
    return aware.isoformat()

"""What goes wrong when people write YAML: each surprise has its own code and sentence."""

import re
from typing import Any, Final

import yaml

from gateway.conformance.finding import Finding

# code: what is wrong, and its cure
SENTENCES: Final[dict[str, tuple[str, str]]] = {
    "twice": (
        "the key {name!r} stands twice; the first is in line {first}",
        "keep one of the two",
    ),
    "merge": ("'<<' merges another mapping into this one", "write the keys out"),
    "key": ("a key must be a word, not a list or a mapping", "write `name: value`"),
    "anchor": ("'&{name}' gives a value a name for use elsewhere", "write the value out"),
    "alias": ("'*{name}' stands for another value", "write the value out; a text needs quotes"),
    "tag": ("the tag {name!r} changes how a value is read", "remove it; a text needs quotes"),
    "second-document": ("'---' begins a second document", "one file holds one document"),
    "too-deep": ("nested deeper than {most} levels", "flatten it"),
    "too-big": ("bigger than {most}", "split the file"),
    "empty": ("the file is empty", "write the document"),
    "yaml-1.1-word": (
        "{value} is a truth value to some readers and a text to others",
        "write true or false; a text needs quotes",
    ),
    "octal": (
        "{value} has a leading zero: a number to some readers, another number to others",
        'put it in quotes: "{value}"',
    ),
    "base-60": ("{value} is a number of base 60 to some readers", 'put it in quotes: "{value}"'),
    "odd-number": (
        "{value} is a number to some readers and a text to others",
        "write plain decimal digits; a text needs quotes",
    ),
    "long-number": (
        "{value} has more than 18 digits and would lose some of them",
        'put it in quotes: "{value}"',
    ),
    "not-a-number": ("{value} is no number that JSON has", "write a number; a text needs quotes"),
    "curly-quotes": (
        "{value} begins with a curly quote, which does not quote in YAML",
        "use straight quotes",
    ),
    "full-width-colon": (
        "{value} has a full-width colon where a key ends",
        "use ':' and a space",
    ),
    "full-width-comma": (
        "{value} holds a full-width comma inside [ ]; this is one text, not two",
        "use ','; a text that means it needs quotes",
    ),
    "tab": ("a tab in the indentation", "indent with spaces"),
    "full-width-space": ("a full-width or no-break space in the indentation", "use spaces"),
    "bom": ("a byte order mark before the first character", "save as UTF-8 without BOM"),
    "gbk": (
        "not UTF-8; these bytes look like GBK",
        "save the file as UTF-8",
    ),
    "not-utf-8": ("not UTF-8: byte 0x{byte:02x}", "save the file as UTF-8"),
    "utf-16": ("UTF-16, not UTF-8", "save the file as UTF-8"),
    "control": ("the control character U+{number:04X}", "remove it"),
    "invisible": (
        "the invisible character U+{number:04X}: what is shown is not what is read",
        "remove it",
    ),
    "conflict": ("a conflict marker left by a merge", "resolve the conflict"),
    "line-length": ("a line of more than {most} characters", "break the line"),
}
_SHOWN: Final = 40
MILD: Final = frozenset({"full-width-comma"})
FATAL: Final = frozenset({"control", "conflict"})  # libyaml would give no place

_CORE = re.compile(
    r"(?P<bool>true|false)|(?P<null>null|~|)|(?P<int>-?(?:0|[1-9][0-9]{0,17}))"
    r"|(?P<float>-?(?:0|[1-9][0-9]*)(?:\.[0-9]+(?:[eE][-+]?[0-9]+)?|[eE][-+]?[0-9]+))"
)
_WORD = re.compile(
    r"y|Y|yes|Yes|YES|n|N|no|No|NO|on|On|ON|off|Off|OFF|True|TRUE|False|FALSE|Null|NULL"
)
_OCTAL = re.compile(r"[-+]?0[0-9_]+")
_BASE_60 = re.compile(r"[-+]?[1-9][0-9_]*(?::[0-5]?[0-9])+(?:\.[0-9_]*)?")
_ODD = re.compile(
    r"[-+]?0[xob][0-9a-fA-F_]+|[-+]?[0-9][0-9_]*_[0-9_]*(?:\.[0-9_]*)?|\+[0-9]+(?:\.[0-9]+)?"
    r"|[-+]?\.[0-9]+|[-+]?[0-9]+\.|[-+]?0[0-9]+\.[0-9]+"
)
_LONG = re.compile(r"[-+]?[0-9]{19,}")
_NAN = re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)|NaN|[-+]?Infinity")
_FULL_COLON = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,60}\s*：.*", re.DOTALL)
_LINE_COLON = re.compile(r"^\s*(?:- +)*(?P<at>[\"']?[A-Za-z_][A-Za-z0-9_.-]{0,60}[\"']?\s*：.*)$")
_INVISIBLE: Final = frozenset(
    [0xAD, 0xFEFF, *range(0x200B, 0x2010), *range(0x202A, 0x202F), *range(0x2060, 0x206A)]
)
_HIDDEN = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\x80-\x84\x86-\x9f\ufffe\uffff\ud800-\udfff"
    + "".join(map(chr, sorted(_INVISIBLE)))
    + "]"
)
_ODD_SPACE = re.compile("[\u00a0\u3000]")
_CONFLICT: Final = ("<<<<<<< ", ">>>>>>> ")
_CURLY = "“”‘’「『"
_LEAD = frozenset("tTfFnNyYoO~-+.0123456789I")


def sentence(code: str, **places: object) -> tuple[str, str]:
    """What is wrong and its cure, with places filled."""
    message, cure = SENTENCES[code]
    return message.format_map(places), cure.format_map(places)


def shown(text: str) -> str:
    """A value as a finding may show it: short, on one line, without quotes around."""
    flat = " ".join(text.split())
    return flat if len(flat) <= _SHOWN else flat[: _SHOWN - 1] + "…"


def plain(text: str, *, flow: bool = False) -> tuple[Any, str]:
    """The value of an unquoted scalar and the code of its surprise ("" for none)."""
    if not text or text[0] in _LEAD:
        if found := _CORE.fullmatch(text):
            return _core(found), ""
        for code, pattern in (
            ("yaml-1.1-word", _WORD),
            ("long-number", _LONG),
            ("octal", _OCTAL),
            ("base-60", _BASE_60),
            ("odd-number", _ODD),
            ("not-a-number", _NAN),
        ):
            if pattern.fullmatch(text):
                return text, code
    if text[:1] in _CURLY and text:
        return text, "curly-quotes"
    if "：" in text and _FULL_COLON.fullmatch(text):
        return text, "full-width-colon"
    if flow and "，" in text:
        return text, "full-width-comma"
    return text, ""


def _core(found: "re.Match[str]") -> Any:
    """A JSON value from its text."""
    text = found.group()
    match found.lastgroup:
        case "bool":
            return text == "true"
        case "null":
            return None
        case "int":
            return int(text)
        case _:
            return float(text)


def odd_key(name: str) -> str:
    """The code of a key that other readers take for something else ("" for none)."""
    value, code = plain(name)
    if code in ("curly-quotes", "yaml-1.1-word", "octal", "full-width-colon"):
        return code
    return "odd-number" if isinstance(value, float) else ""


def decode(source: str | bytes, name: str, most: int) -> tuple[str | None, list[Finding]]:
    """The text of a file, without a byte order mark and with one kind of line end."""

    def one(code: str, line: int = 1, column: int = 1, **places: object) -> Finding:
        return Finding(name, line, column, code, "error", "", *sentence(code, **places))

    found: list[Finding] = []
    raw = source.encode("utf-8", "surrogatepass") if isinstance(source, str) else source
    if len(raw) > most:
        return None, [one("too-big", most=f"{most >> 20} MiB")]
    if raw.startswith((b"\xff\xfe", b"\xfe\xff")):
        return None, [one("utf-16")]
    if raw.startswith(b"\xef\xbb\xbf"):
        raw = raw[3:]
        found.append(one("bom"))
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        column = len(raw[: error.start].rpartition(b"\n")[2].decode("utf-8", "replace")) + 1
        return None, [*found, one(_bytes_code(raw), line, column, byte=raw[error.start])]
    return text.replace("\r\n", "\n").replace("\r", "\n"), found


def _bytes_code(raw: bytes) -> str:
    """Tell GBK from other bytes that are not UTF-8."""
    try:
        text = raw.decode("gb18030")
    except UnicodeDecodeError:
        return "not-utf-8"
    return "gbk" if any("\u4e00" <= letter <= "\u9fff" for letter in text) else "not-utf-8"


def scan(lines: list[str], name: str) -> list[Finding]:
    """Surprises that are seen line by line, before any parsing."""
    found: list[Finding] = []

    def add(code: str, line: int, column: int, **places: object) -> None:
        if len(found) < 100:  # noqa: PLR2004 - enough for one person to mend at once
            found.append(
                Finding(name, line + 1, column + 1, code, "error", "", *sentence(code, **places))
            )

    for number, line in enumerate(lines):
        body = line.lstrip()
        indent = line[: len(line) - len(body)]
        if body and "\t" in indent:
            add("tab", number, indent.index("\t"))
        if body and (odd := _ODD_SPACE.search(indent)):
            add("full-width-space", number, odd.start())
        if body.startswith(_CONFLICT) and not indent:
            add("conflict", number, 0)
        if not line.isascii() or not line.isprintable():
            for match in _HIDDEN.finditer(line):
                letter = ord(match.group())
                add(_kind(letter), number, match.start(), number=letter)
    return found


def hidden(text: str) -> tuple[str, str] | None:
    """The first sign that nobody sees in a value: its code and itself."""
    match = _HIDDEN.search(text)
    return (_kind(ord(match.group())), match.group()) if match else None


def _kind(letter: int) -> str:
    return "invisible" if letter in _INVISIBLE else "control"


# libyaml's words → ours
_SYNTAX: Final = (
    ("mapping values are not allowed", "': ' inside a text, or a key indented too far"),
    ("cannot start any token", "a character that cannot begin a value"),
    ("while scanning a quoted scalar", "a quote that is not closed"),
    ("found unexpected end of stream", "a quote or bracket that is not closed"),
    ("could not find expected ':'", "a key without ':' and a space"),
    ("did not find expected key", "indented differently from the keys around it"),
    ("expected ',' or ']'", "a '[' that is not closed, or a ',' missing"),
    ("expected ',' or '}'", "a '{' that is not closed, or a ',' missing"),
    ("expected '-' indicator", "a line that does not begin like its list"),
    ("unknown escape character", "an unknown escape after '\\' inside double quotes"),
)


def syntax(error: Exception, lines: list[str], name: str) -> Finding:
    """The sentence for what ended the reading."""
    if "nesting depth" in str(getattr(error, "problem", "")):
        message, cure = sentence("too-deep", most=20)
        return Finding(name, 1, 1, "too-deep", "error", "", message, cure)
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    line, column = (mark.line, mark.column) if mark else (0, 0)
    problem = str(getattr(error, "problem", None) or error)[:200]
    context = str(getattr(error, "context", "") or "")
    for number in range(line, max(line - 4, -1), -1):
        found = _LINE_COLON.match(lines[number]) if number < len(lines) else None
        if found:
            message, cure = sentence("full-width-colon", value=shown(found["at"]))
            return Finding(
                name,
                number + 1,
                found.start("at") + 1,
                "full-width-colon",
                "error",
                "",
                message,
                cure,
            )
    said = next((ours for theirs, ours in _SYNTAX if theirs in f"{context} {problem}"), problem)
    if isinstance(error, yaml.reader.ReaderError):
        said = "a character that YAML does not allow"
    cure = "put a text with special characters in quotes; indent lines of one mapping alike"
    return Finding(name, line + 1, column + 1, "syntax", "error", "", said, cure)

"""What an icon may hold: plain shapes, nothing that acts or fetches."""

import re
from typing import Final

MOST_ICON: Final = 32 << 10
_UNSAFE: Final = re.compile(
    rb"<\s*(?:script|foreignobject|iframe|object|embed|image|use|a|animate|set|style|!entity|!doctype)\b"
    rb"|\bon[a-z]+\s*=|javascript:|(?:href|src)\s*=|url\s*\(\s*['\"]?\s*(?!#)[a-z/]",
    re.IGNORECASE,
)


def unsafe_in_icon(content: bytes) -> tuple[int, str] | None:
    """The line and text of what an SVG may not hold, or None."""
    found = _UNSAFE.search(content)
    if found is None:
        return None
    line = content.count(b"\n", 0, found.start()) + 1
    return line, found.group().decode("ascii", "replace")[:40]

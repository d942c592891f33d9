"""Where somebody may be led after signing in: pages of ours that a person reads, nothing else."""

import re
from typing import Final

HOME: Final = "/"
_LONGEST: Final = 512
_PAGES: Final = ("s", "consent", "search", "me", "feedback", "admin")
# Browsers read "\" as "/", drop tabs and line breaks, and take "//host" for another site: so only
# these characters, and no empty or dotted part of the path, whatever it would mean decoded.
_PATH: Final = re.compile(r"(?:/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)+/?")
_QUERY: Final = re.compile(r"[A-Za-z0-9._~%=&+-]*")


def own_path(text: str) -> str:
    """The path if it is one of our pages, else the hall."""
    if len(text) > _LONGEST:
        return HOME
    path, _, query = text.partition("?")
    if path == HOME:
        return text if _QUERY.fullmatch(query) else HOME
    if not _PATH.fullmatch(path) or not _QUERY.fullmatch(query):
        return HOME
    return text if path.split("/")[1] in _PAGES else HOME

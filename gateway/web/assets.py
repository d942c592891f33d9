"""Static files, plugin icons by digest, and the few host check files of an installation."""

import re
from pathlib import Path
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from gateway.errors import NotFound
from gateway.web.statics import by_address
from gateway.web.visit import Visit

FOREVER: Final = "public, max-age=31536000, immutable"
MAX_SITE_FILE: Final = 64 * 1024
_NOSNIFF: Final = {
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Resource-Policy": "cross-origin",
}
# What an icon holds is drawn and nothing else, also where somebody opens its address.
_ICON_CSP: Final = "default-src 'none'; style-src 'unsafe-inline'; sandbox"
_DIGEST: Final = re.compile(r"[0-9a-f]{64}")
_CHECK: Final = re.compile(
    r"[A-Za-z0-9][A-Za-z0-9_-]{0,99}\.txt"
)  # what app stores and hosts ask for
_APPS: Final = ("apple-app-site-association", "assetlinks.json")
_FOLDERS: Final = ("", ".well-known")


async def static(visit: Visit) -> Response:
    """One of our own files; its name holds the digest of its content."""
    found = by_address().get(visit.place("name"))
    if found is None:
        raise NotFound
    headers = {
        **_NOSNIFF,
        "Cache-Control": FOREVER,
        "Vary": "Accept-Encoding",
        "Access-Control-Allow-Origin": "*",  # an article elsewhere draws public cards with them
    }
    if not _takes_gzip(visit.request):
        return Response(found.plain, media_type=found.media, headers=headers)
    headers["Content-Encoding"] = "gzip"
    return Response(found.zipped, media_type=found.media, headers=headers)


async def icon(visit: Visit) -> Response:
    """A plugin's icon; checked for safe content when the plugin was."""
    digest = visit.place("digest")
    content = visit.generation.blob(f"icon:{digest}") if _DIGEST.fullmatch(digest) else None
    if content is None:
        raise NotFound
    headers = {**_NOSNIFF, "Cache-Control": FOREVER, "Content-Security-Policy": _ICON_CSP}
    return Response(content, media_type="image/svg+xml", headers=headers)


async def site_file(visit: Visit) -> Response:
    """A host check file, as it is; nothing else of the folder is reachable.

    Raises:
        NotFound: no folder, no such file, or a name that is none of the three kinds.
    """
    folder = visit.parts.settings.site_files
    name = visit.place("name")
    if folder is None or not (_CHECK.fullmatch(name) or name in _APPS):
        raise NotFound
    content = _read(folder, name)
    media = "text/plain; charset=utf-8" if name.endswith(".txt") else "application/json"
    headers = {**_NOSNIFF, "Cache-Control": "public, max-age=300"}
    return Response(content, media_type=media, headers=headers)


def _read(folder: Path, name: str) -> bytes:
    root = folder.resolve()
    for below in _FOLDERS:
        path = root / below / name
        if path.is_file() and path.resolve().is_relative_to(root):
            if path.stat().st_size > MAX_SITE_FILE:
                raise NotFound(detail="a host check file is too large")
            return path.read_bytes()
    raise NotFound


def _takes_gzip(request: Request) -> bool:
    codings = request.headers.get("accept-encoding", "").lower().replace(" ", "").split(",")
    return any(
        coding.partition(";")[0] == "gzip" and not coding.endswith("q=0") for coding in codings
    )

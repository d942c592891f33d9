"""How pages look for one visitor: kept on her device by a cookie, and with her account.

Signed out the cookie holds. Signed in the later choice holds, so that the 长辈版 that she has just
switched on stays on when she signs in, and her other devices follow.
"""

from dataclasses import asdict, replace
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response

from gateway.contract.ids import CitizenId
from gateway.sso.visitor import Visitor
from gateway.store.away import LedgerAway
from gateway.web.appearance import Look
from gateway.web.parts import Parts

COOKIE: Final = "citygate-look"  # e.g. "elder.2.high.zh.0.000102.1795400000"
_FIELDS: Final = (6, 7)  # the last one: when it was chosen, in seconds
_YEAR: Final = 365 * 24 * 3600
_AGE: Final = 60.0  # seconds; the device where it was changed sees it at once by its cookie
_SECOND: Final = 1_000_000
_LONGEST: Final = 12  # digits of an instant


def parse_look(text: str) -> Look:
    """A look from its cookie; whatever cannot be read is the default."""
    return _parse(text)[0]


def format_look(look: Look, at: int = 0) -> str:
    """The cookie's value of a look chosen at that second."""
    speech = "1" if look.speech else "0"
    fields = (look.edition, look.size, look.contrast, look.language, speech, look.region, at)
    return ".".join(str(field) for field in fields)


async def read_look(parts: Parts, visitor: Visitor, request: Request) -> Look:
    """The look of this visitor."""
    look, chosen = _parse(request.cookies.get(COOKIE, ""))
    if visitor.citizen is None:
        return look
    try:
        stored = await parts.preferences.read(visitor.citizen.id, "look", age=_AGE)
    except LedgerAway:  # a page is shown all the same, as the device has it
        return look
    if isinstance(stored, dict) and stored.get("at", 0) > chosen:
        return _look({name: str(value) for name, value in stored.items()})
    return look


async def write_look(
    parts: Parts, citizen: CitizenId | None, response: Response, look: Look
) -> None:
    """Keep a look on this device, and with the account of who is signed in.

    Raises:
        LedgerAway: the account was not changed, and then the device neither.
    """
    at = parts.clock.now() // _SECOND
    if citizen is not None:
        await parts.preferences.write(citizen, "look", {**asdict(look), "at": at})
    response.set_cookie(
        COOKIE,
        format_look(look, at),
        max_age=_YEAR,
        secure=parts.settings.origin.startswith("https://"),
        httponly=True,
        samesite="lax",
    )


def changed(look: Look, wanted: dict[str, Any]) -> Look:
    """The look with what somebody chose; what is no choice of ours changes nothing."""
    return _look({name: str(value) for name, value in {**asdict(look), **wanted}.items()}, look)


def _parse(text: str) -> tuple[Look, int]:
    fields = text.split(".")
    if len(fields) not in _FIELDS:
        return Look(), 0
    names = ("edition", "size", "contrast", "language", "speech", "region", "at")
    said = dict(zip(names, fields, strict=False))
    at = said.get("at", "0")
    return _look(said), int(at) if at.isdecimal() and at.isascii() and len(at) <= _LONGEST else 0


def _look(said: dict[str, str], base: Look | None = None) -> Look:
    look = base or Look()
    for edition in ("standard", "elder"):
        if said.get("edition") == edition:
            look = replace(look, edition=edition)
    if (size := said.get("size")) in ("1", "2", "3", "4"):
        look = replace(look, size=int(size))
    for contrast in ("normal", "high"):
        if said.get("contrast") == contrast:
            look = replace(look, contrast=contrast)
    for language in ("zh", "en"):
        if said.get("language") == language:
            look = replace(look, language=language)
    if "speech" in said:
        look = replace(look, speech=said["speech"] in ("1", "True"))
    region = said.get("region", look.region)
    if not region or (region.isascii() and region.isdecimal() and len(region) == 6):  # noqa: PLR2004 - GB/T 2260
        look = replace(look, region=region)
    return look

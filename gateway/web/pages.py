"""Templates to pages: one environment, one frame around every page, one set of headers.

Nothing here knows a store: the gallery and `plugin preview` draw with it too.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache, lru_cache, partial
from pathlib import Path
from typing import Any, Final

import jinja2
from markupsafe import Markup
from pydantic import BaseModel, ConfigDict
from starlette.responses import Response

from gateway.clock import CITY_ZONE, instant
from gateway.contract.manifest import Text
from gateway.settings import Settings
from gateway.web.appearance import Look
from gateway.web.statics import asset
from gateway.words.loader import Language, say

PRIVATE: Final = "private, no-store"
MAX_FOOTER: Final = 64 * 1024
_CSP: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors {ancestors}"
)
_HEADERS: Final = {
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "Cross-Origin-Opener-Policy": "same-origin",
}


class Footer(BaseModel):
    """What a government page says at its foot; `CITYGATE_FOOTER_FILE`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    host: Text | None = None  # 主办单位
    carrier: Text | None = None  # 承办单位
    icp: str = ""  # ICP 备案号
    police: str = ""  # 公网安备号
    site_code: str = ""  # 政府网站标识码
    address: Text | None = None


@dataclass(frozen=True, slots=True)
class Frame:
    """What every page has around its own part."""

    look: Look = field(default_factory=Look)
    city: Text = field(default_factory=lambda: Text(zh="安澜市", en="Anlan"))
    footer: Footer = field(default_factory=Footer)
    host_app: str = ""
    hotline: str = "12345"
    long_distance: str = ""
    demo: bool = True  # outside profile production: the strip that says so
    container: bool = False  # inside the host app: our title bar goes
    signed_in: bool = False
    known: bool = True  # False: an error page, made without asking who it is for
    away: bool = False  # sessions cannot be looked up now
    form_token: str = ""
    path: str = "/"  # of this page, to come back to
    trace: str = ""
    alone: bool = False  # without masthead and footer's links: `plugin preview` has no other pages


@cache
def environment() -> jinja2.Environment:
    """The one Jinja environment: everything escaped, nothing undefined."""
    env = jinja2.Environment(
        loader=jinja2.PackageLoader("gateway.web", "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
        cache_size=200,
    )
    env.globals |= {"asset": asset}
    env.filters |= {"date": _date, "moment": moment, "phone": _phone}
    return env


def warm() -> None:
    """Read the citizen's templates before the first visitor waits for them: half a second."""
    env = environment()
    for name in env.list_templates(extensions=["html"]):
        if not name.startswith("admin/"):
            env.get_template(name)


def render(template: str, frame: Frame, **values: Any) -> str:
    """A whole page as text."""
    language = frame.look.language
    text: str = (
        environment()
        .get_template(template)
        .render(
            frame=frame,
            look=frame.look,
            lang=language,
            say=partial(say, language),
            form_token=frame.form_token,
            **values,
        )
    )
    return text


def security_headers(ancestors: Iterable[str] = ()) -> dict[str, str]:
    """What every page is sent with; `ancestors` may frame it."""
    allowed = " ".join(ancestors) or "'none'"
    return {**_HEADERS, "Content-Security-Policy": _CSP.format(ancestors=allowed)}


def html(
    content: str | bytes,
    *,
    status: int = 200,
    headers: Mapping[str, str] | None = None,
    ancestors: Iterable[str] = (),
) -> Response:
    """A page as an answer, with the headers that every page has."""
    all_headers = {"Cache-Control": PRIVATE, **security_headers(ancestors), **(headers or {})}
    return Response(
        content, status_code=status, headers=all_headers, media_type="text/html; charset=utf-8"
    )


def frame_of(settings: Settings, look: Look) -> Frame:
    """The frame that an installation's settings say, for nobody known."""
    return Frame(
        look=look,
        city=Text(zh=settings.city_name_zh, en=settings.city_name_en),
        footer=read_footer(settings.footer_file),
        host_app=settings.host_app_name,
        long_distance=settings.hotline_long_distance,
        demo=settings.profile != "production",
    )


@lru_cache(maxsize=4)
def read_footer(path: Path | None) -> Footer:
    """The footer's texts; what the file does not say is left out.

    Raises:
        ValueError: the file is too big, cannot be read or says something else than a footer.
    """
    if path is None:
        return Footer()
    try:
        content = path.read_bytes() if path.stat().st_size <= MAX_FOOTER else b""
        return Footer.model_validate(json.loads(content))
    except (OSError, ValueError) as error:  # a ValidationError is one
        raise ValueError(
            f"CITYGATE_FOOTER_FILE: {path} cannot be read as a footer; give JSON of at most "
            f"{MAX_FOOTER} bytes, or leave the setting out"
        ) from error


def _date(moment: datetime, language: Language) -> str:
    local = moment.astimezone(CITY_ZONE)
    return say(language, "page.date", year=local.year, month=local.month, day=local.day)


def moment(at: datetime | int | str, language: Language) -> str:
    """A point in time in the city's zone, to the minute; the year is left to the reader."""
    if isinstance(at, int):
        at = instant(at)
    if isinstance(at, str):
        at = datetime.fromisoformat(at)
    local = at.astimezone(CITY_ZONE)
    clock = f"{local:%H:%M}"
    return say(language, "page.moment", month=local.month, day=local.day, clock=clock)


def _phone(number: str) -> str:
    """A telephone number as the address of a call."""
    return "tel:" + "".join(c for c in number if c.isdigit() or c == "+")


def markup(content: bytes) -> Markup:
    """Bytes that we made ourselves, as they are."""
    return Markup(content.decode())  # noqa: S704 - comes from our own templates only

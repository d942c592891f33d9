"""The news app 安澜观察 in its smallest form: news, an article with a card under it, its tabs."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from gateway.simulated.articles import ARTICLES, Article
from gateway.simulated.site import STATIC, Site
from gateway.simulated.world import World

CHANNELS: Final = ("推荐", "本地", "民生", "政务", "文旅")


@dataclass(frozen=True, slots=True)
class Shown:
    """An article with its time in words."""

    article: Article
    at: datetime
    ago: str


class NewsApp:
    """The app's web face."""

    def __init__(self, world: World) -> None:
        """Keep the world."""
        self.world = world
        self.site = Site(world, "app")

    def app(self) -> Starlette:
        """All its pages."""
        return Starlette(
            routes=[
                Route("/", self.home),
                Route("/news/{id}", self.article),
                Route("/me", self.me),
                Route("/reader", self.reader, methods=["POST"]),
                STATIC,
            ]
        )

    def shown(self) -> list[Shown]:
        """All articles, latest first."""
        now = self.world.clock.matters()
        return [
            Shown(one, now - timedelta(minutes=one.minutes), _ago(one.minutes)) for one in ARTICLES
        ]

    def _page(self, request: Request, name: str, *, status: int = 200, **values: Any) -> Response:
        signed_in = request.cookies.get("reader") == "1"
        return self.site.page(request, name, status=status, reader=signed_in, **values)

    async def home(self, request: Request) -> Response:
        """The list of news."""
        channel = request.query_params.get("c", CHANNELS[0])
        every = self.shown()
        rows = [one for one in every if channel in (CHANNELS[0], one.article.channel)] or every
        return self._page(request, "home", rows=rows, channel=channel, channels=CHANNELS)

    async def article(self, request: Request) -> Response:
        """One article, with a public card under it where it is about a service."""
        found = next(
            (one for one in self.shown() if one.article.id == request.path_params["id"]), None
        )
        if found is None:
            return RedirectResponse("/", 303)
        more = [one for one in self.shown() if one.article.id != found.article.id][:3]
        return self._page(request, "article", one=found, more=more)

    async def me(self, request: Request) -> Response:
        """The reader's own page."""
        return self._page(request, "me")

    async def reader(self, request: Request) -> Response:
        """Sign the app's own reader in or out; this has nothing to do with city services."""
        answer = RedirectResponse("/me", 303)
        if request.cookies.get("reader") == "1":
            answer.delete_cookie("reader", path="/")
        else:
            answer.set_cookie("reader", "1", httponly=True, samesite="lax", path="/")
        return answer


def _ago(minutes: int) -> str:
    if minutes < 60:
        return f"{minutes}分钟前"
    return f"{minutes // 60}小时前" if minutes < 1440 else f"{minutes // 1440}天前"

"""`citygate plugin preview`: the card gallery over one plugin folder, on 127.0.0.1.

Plain uvicorn; no ledger, no Valkey, no sign-in. The folder is read at each view, and a small script
asks whether it has changed since and loads the page again.
"""

import asyncio
import hashlib
import socket
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Mount, Route

from gateway.cli.specimens import Specimen, specimens
from gateway.clock import Clock, SystemClock
from gateway.conformance.finding import Finding
from gateway.conformance.folder import gathered
from gateway.web import fragments, gallery, pages
from gateway.web.fragments import View
from gateway.web.gallery import Sample, Shelf
from gateway.words.loader import Language, say

_TICK: Final = 0.3  # seconds between two looks at the folder
_LONGEST: Final = 20.0  # seconds that one question waits
_SCRIPT: Final = """\
"use strict";
(function () {
  var known = document.currentScript.getAttribute("data-version");
  function ask() {
    fetch("/changed?since=" + known).then(function (answer) {
      if (answer.status === 205) { location.reload(); } else { ask(); }
    }, function () { setTimeout(ask, 1000); });
  }
  ask();
})();
"""


@dataclass(frozen=True, slots=True)
class Preview:
    """One folder and how it is shown."""

    folder: Path
    variables: Mapping[str, str]
    clock: Clock

    def app(self) -> Starlette:
        """The pages of the preview."""
        rest = gallery.gallery_app(list)  # for its static files; the page itself is ours
        return Starlette(
            routes=[
                Route("/", self.page),
                Route("/changed", self.changed),
                Route("/reload.js", self.script),
                Route("/icons/{digest}", self.icon),
                Mount("/", rest),
            ]
        )

    async def page(self, request: Request) -> Response:
        """All cards, or all that keeps them from being made."""
        look, mode = gallery.wanted(request)
        version = self.version()
        found = await asyncio.to_thread(specimens, self.folder, self.variables)
        language = look.language
        frame = replace(pages.Frame(look=look, alone=True), path="/")
        if found.findings:
            text = pages.render(
                "preview_findings.html",
                frame,
                title=say(language, "preview.findings"),
                rows=[_line(self.folder, finding) for finding in found.findings],
            )
        else:
            shelves = [
                _shelf("samples", [_sample(one) for one in found.samples], language),
                _shelf("states", [_sample(one) for one in found.states], language),
            ]
            text = gallery.page(shelves, look, mode, frame)
        tag = f'<script src="/reload.js" data-version="{version}"></script>\n</body>'
        return pages.html(text.replace("</body>", tag, 1))

    async def changed(self, request: Request) -> Response:
        """205 as soon as the folder is another than the page shows; 204 after a while."""
        known = request.query_params.get("since", "")
        for _ in range(int(_LONGEST / _TICK)):
            if self.version() != known:
                return Response(status_code=205)
            if await request.is_disconnected():
                break
            await self.clock.sleep(_TICK)
        return Response(status_code=204)

    async def script(self, _request: Request) -> Response:
        """The script that asks."""
        headers = {"X-Content-Type-Options": "nosniff", "Cache-Control": "no-store"}
        return PlainTextResponse(_SCRIPT, media_type="text/javascript", headers=headers)

    async def icon(self, request: Request) -> Response:
        """The folder's icon."""
        content = gathered(self.folder)[0].get("icon.svg", b"")
        if hashlib.sha256(content).hexdigest() != request.path_params["digest"]:
            return Response(status_code=404)
        headers = {
            "X-Content-Type-Options": "nosniff",
            "Content-Security-Policy": "default-src 'none'; sandbox",
        }
        return Response(content, media_type="image/svg+xml", headers=headers)

    def version(self) -> str:
        """What stands in the folder, as a short digest."""
        whole = hashlib.sha256()
        for name, content in sorted(gathered(self.folder)[0].items()):
            whole.update(name.encode() + b"\0" + hashlib.sha256(content).digest())
        return whole.hexdigest()[:16]


def _shelf(heading: str, samples: list[Sample], language: Language) -> Shelf:
    made = gallery.samples_of(lambda: samples, language)[0]
    return Shelf(say(language, f"gallery.{heading}"), made.cards)


def _sample(specimen: Specimen) -> Sample:
    return Sample(
        specimen.name,
        {one: _view(fragments.view_of(item, one)) for one, item in specimen.items.items()},
    )


def _view(view: View) -> View:
    """Its links lead nowhere: there is no service behind them here."""
    buttons = tuple(replace(button, target="#main", posts=False) for button in view.actions)
    return replace(view, link=False, actions=buttons)


def _line(folder: Path, finding: Finding) -> str:
    return finding.in_file((folder / finding.file).as_posix()).line_of_text()


def serve(folder: Path, port: int, variables: Mapping[str, str]) -> None:
    """Serve until interrupted; raises OSError when the port is taken."""
    with socket.create_server(("127.0.0.1", port)) as listening:
        app = Preview(folder, variables, SystemClock()).app()
        config = uvicorn.Config(
            app, log_level="warning", access_log=False, lifespan="off", loop="asyncio",
            http="h11", ws="none", timeout_graceful_shutdown=1,
        )  # fmt: skip
        print(f"http://127.0.0.1:{listening.getsockname()[1]}/", flush=True)
        print("saving a file shows it again; Ctrl+C ends", file=sys.stderr, flush=True)
        with suppress(KeyboardInterrupt):
            asyncio.run(uvicorn.Server(config).serve(sockets=[listening]))

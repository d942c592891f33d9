"""The fault panel (a page, always) and the control (JSON, only with `--control`)."""

from datetime import timedelta
from time import monotonic
from typing import Any, Final

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route

from gateway.simulated.cityclock import rfc3339
from gateway.simulated.faults import KINDS, Calls, Fault
from gateway.simulated.people import BY_ID
from gateway.simulated.site import STATIC, Site, fields_of, json_object
from gateway.simulated.water import Water
from gateway.simulated.world import World

SYSTEMS: Final = {
    "gjj": ("住房公积金", "JSON · HMAC"),
    "legal": ("公共法律服务", "JSON · private_key_jwt"),
    "property": ("不动产登记", "SOAP 1.1 · GB18030"),
    "jobs": ("就业招聘培训", "RSS · JSON Feed"),
    "identity": ("统一身份认证", "OpenID Connect"),
    "water": ("安澜水务", "夜间 CSV"),
}
WORDS: Final = {
    "none": "正常",
    "slow": "很慢",
    "drip": "一字一字",
    "silent": "不回答",
    "reset": "断开 RST",
    "close": "断开 FIN",
    "500": "500",
    "200-with-error": "200 带错",
    "wrong-charset": "编码错",
    "truncated": "截断",
    "huge": "50 MB",
    "bomb": "压缩炸弹",
    "redirect": "跳到别处",
    "flapping": "时好时坏",
}
WATER_KINDS: Final = ("silent", "wrong-charset", "truncated")
SETTABLE: Final = {
    "gjj": {
        "balance",
        "monthly",
        "employer",
        "status",
        "account",
        "loan",
        "batch",
        "registered_name",
    },
    "legal": {"cases"},
    "property": {"rows", "maintenance"},
    "water": {"amount", "usage", "paid", "days"},
}


class Wrong(Exception):
    """What was asked makes no sense; the text says why."""


class Control:
    """Everything that moves the city."""

    def __init__(self, world: World, water: Water, *, enabled: bool) -> None:
        """`enabled`: the JSON addresses answer."""
        self.world = world
        self.water = water
        self.enabled = enabled
        self.site = Site(world, "panel")

    def app(self) -> Starlette:
        """Page and control."""
        acts = {
            "clock": self.move_clock,
            "set": self.set,
            "fault": self.fault,
            "calls": self.clear_calls,
            "drop": self.drop,
            "gateway": self.gateway,
            "client": self.client,
            "reset": self.reset,
        }
        reads = {"clock": self.clock, "calls": self.calls, "get": self.get}
        routes = [
            Route("/", self.page),
            Route("/panel/{act}", self.pressed, methods=["POST"]),
            Route("/trap", self.trap),
            STATIC,
        ]
        if self.enabled:
            routes += [
                Route(f"/control/{name}", _act(act), methods=["POST"]) for name, act in acts.items()
            ]
            routes += [Route(f"/control/{name}", _read(read)) for name, read in reads.items()]
        return Starlette(routes=routes)

    # What can be asked

    def clock(self, asked: dict[str, Any]) -> dict[str, Any]:
        """Where both hands stand."""
        del asked
        clock = self.world.clock
        return {
            "now": rfc3339(clock.matters()),
            "protocol": rfc3339(clock.protocol()),
            "offset_seconds": clock.offset,
            "lead_seconds": clock.lead,
            "held": clock.held is not None,
        }

    def calls(self, asked: dict[str, Any]) -> dict[str, Any]:
        """How often each API was called."""
        del asked
        return {
            name: {"total": one.total, "paths": one.paths, "cookies_returned": one.cookies_returned}
            for name, one in self.world.calls.items()
        }

    def get(self, asked: dict[str, Any]) -> dict[str, Any]:
        """All fields of one person at one department."""
        return self.world.fields(str(asked.get("system")), str(asked.get("person")))

    # What can be done

    def move_clock(self, asked: dict[str, Any]) -> dict[str, Any]:
        """Move both hands, or matters only."""
        clock = self.world.clock
        try:
            if "offset_seconds" in asked:
                clock.offset = float(asked["offset_seconds"])
            step = float(asked.get("advance_seconds", 0))
        except (TypeError, ValueError) as error:
            raise Wrong("advance_seconds, offset_seconds: seconds") from error
        if "hold" in asked:
            clock.hold(still=bool(asked["hold"]))
        if asked.get("only") == "matters":
            clock.lead += step
        else:
            clock.offset += step
        self.world.keep_clock()
        self._moved()
        return self.clock({})

    def set(self, asked: dict[str, Any]) -> dict[str, Any]:
        """Set one field of one person ("*": all) at one department."""
        system, person, field = (str(asked.get(name)) for name in ("system", "person", "field"))
        if field not in SETTABLE.get(system, ()):
            raise Wrong(f"{system} has no field {field}")
        if person not in BY_ID and person != "*":
            raise Wrong(f"nobody is called {person}")
        self.world.records.set_fact(system, person, field, asked.get("value"))
        return self.world.fields(system, person)

    def fault(self, asked: dict[str, Any]) -> dict[str, Any]:
        """Begin or end a fault."""
        system, kind = str(asked.get("system")), str(asked.get("fault"))
        if system not in SYSTEMS or kind not in (*KINDS, "none"):
            raise Wrong(f"system: {', '.join(SYSTEMS)}; fault: {', '.join(KINDS)}, none")
        if kind == "none":
            self.world.faults.pop(system, None)
            return {"system": system, "fault": "none"}
        try:
            seconds = None if asked.get("seconds") is None else float(asked["seconds"])
            ends = None if asked.get("for_seconds") is None else float(asked["for_seconds"])
        except (TypeError, ValueError) as error:
            raise Wrong("seconds, for_seconds: numbers") from error
        until = None if ends is None else monotonic() + ends
        self.world.faults[system] = Fault(kind, seconds, until)
        return {"system": system, "fault": kind, "seconds": seconds, "for_seconds": ends}

    def clear_calls(self, asked: dict[str, Any]) -> dict[str, Any]:
        """Begin counting anew."""
        del asked
        for one in self.world.calls.values():
            one.total, one.cookies_returned = 0, 0
            one.paths.clear()
        return {}

    def drop(self, asked: dict[str, Any]) -> dict[str, Any]:
        """Let the water company write a drop now."""
        del asked
        return {"file": self.water.drop()}

    def gateway(self, asked: dict[str, Any]) -> dict[str, Any]:
        """Say where the gateway is."""
        url = asked.get("url")
        if not isinstance(url, str) or not url.startswith(("http://", "https://")):
            raise Wrong("url: an http address")
        self.world.gateway = url.rstrip("/")
        return {"url": self.world.gateway}

    def client(self, asked: dict[str, Any]) -> dict[str, Any]:
        """One more redirect address at the identity platform."""
        address = asked.get("redirect_uri")
        if not isinstance(address, str) or not address.startswith("http"):
            raise Wrong("redirect_uri: an http address")
        self.world.redirects.append(address)
        return {"redirect_uris": self.world.redirects}

    def reset(self, asked: dict[str, Any]) -> dict[str, Any]:
        """As on the first day."""
        self.world.records.clear()
        self.world.faults.clear()
        self.world.clock.offset = self.world.clock.lead = 0.0
        self.world.clock.hold(still=False)
        self.clear_calls(asked)
        self.water.drop()
        return self.clock({})

    def _moved(self) -> None:
        self.water.nightly()

    # The page

    async def page(self, request: Request) -> Response:
        """A row per system."""
        rows = [
            {
                "name": name,
                "title": title,
                "speaks": speaks,
                "address": self.world.addresses[name],
                "fault": self._holds(name),
                "calls": self.world.calls.get(name, Calls()).total,
                "kinds": [k for k in WORDS if k in ("none", *WATER_KINDS)]
                if name == "water"
                else list(WORDS),
            }
            for name, (title, speaks) in SYSTEMS.items()
        ]
        return self.site.page(
            request,
            "home",
            rows=rows,
            words=WORDS,
            balance=self.world.get("gjj", "li-wei", "balance"),
            ahead=timedelta(seconds=round(self.world.clock.offset + self.world.clock.lead)),
        )

    def _holds(self, system: str) -> str:
        fault = self.world.faults.get(system)
        return "none" if fault is None or fault.over else fault.kind

    async def pressed(self, request: Request) -> Response:
        """A button of the page."""
        # Another site's page in the same browser must not press our buttons.
        if (
            request.headers.get("origin", self.world.addresses["panel"])
            != self.world.addresses["panel"]
        ):
            return PlainTextResponse("press the buttons on the panel itself", 403)
        form: dict[str, Any] = dict(await fields_of(request))
        act = request.path_params["act"]
        try:
            if act == "fault":
                self.fault(form)
            elif act == "clock":
                self.move_clock({**form, "only": "matters"})
            elif act == "balance":
                value = f"{float(form.get('value') or 0):.2f}"
                self.set({"system": "gjj", "person": "li-wei", "field": "balance", "value": value})
            elif act == "drop":
                self.drop({})
            elif act == "reset":
                self.reset({})
        except (Wrong, ValueError) as error:
            return PlainTextResponse(str(error), 400)
        return RedirectResponse("/", 303)

    async def trap(self, request: Request) -> Response:
        """Where redirect faults point: whoever comes is counted."""
        self.world.calls["trap"].add(request.scope)
        return PlainTextResponse("nobody should have come here")


def _act(act: Any) -> Any:
    async def handler(request: Request) -> Response:
        asked = json_object(await request.body() or b"{}")
        try:
            return (
                JSONResponse({"error": "a JSON object"}, 400)
                if asked is None
                else JSONResponse(act(asked))
            )
        except Wrong as error:
            return JSONResponse({"error": str(error)}, 400)

    return handler


def _read(read: Any) -> Any:
    async def handler(request: Request) -> Response:
        return JSONResponse(read(dict(request.query_params)))

    return handler

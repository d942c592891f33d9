"""去办理: from a tap to the department's page."""

from typing import Final

from starlette.responses import Response

from gateway.cards.gates import gate, hidden, shown_now
from gateway.cards.state import State
from gateway.clock import instant
from gateway.contract.citizen import Citizen
from gateway.errors import Malformed, NotFound, NotSignedIn, Unavailable
from gateway.registry.entry import Entry
from gateway.sso.launch import AskFirst, Dead, Go, NotNow, Onward, ProveMore, Stopped
from gateway.web.visit import Visit

_GONE: Final = 410
_CONFLICT: Final = 409


async def launch(visit: Visit) -> Response:
    """A citizen taps a service or one function of it (form field `function`)."""
    entry = entry_of(visit, visit.place("service"))
    return await begin(visit, citizen_of(visit), entry, visit.form.get("function", ""))


async def go(visit: Visit) -> Response:
    """The one-time address: opened once, by the browser that tapped, and then onward."""
    request = visit.request
    purpose = request.headers.get("sec-purpose", request.headers.get("purpose", ""))
    if request.method == "HEAD" or "prefetch" in purpose:
        return Response(status_code=204, headers={"Cache-Control": "no-store"})
    if request.headers.get("sec-fetch-dest", "document") != "document":
        raise Malformed(400, "a launch is a page, not a picture or a frame")  # N72
    citizen = citizen_of(visit)
    step = await visit.parts.launches.open(
        visit.place("id"),
        citizen,
        entry_of=visit.generation.entry,
        gate_of=lambda entry: _code(visit, entry),
        nonce=request.query_params.get("nonce"),
    )
    if isinstance(step, Onward):
        entry = entry_of(visit, step.service)
        return visit.page(
            "launch/go.html",
            title=visit.say("launch.going", name=visit.text(entry.short)),
            entry=entry,
            address=step.address,
            headers={"Refresh": f"0; url={step.address}"},
        )
    if isinstance(step, Stopped):
        entry = entry_of(visit, step.service)
        return _instead(visit, entry, step.decision, step.function)
    return _dead(visit, step)


async def begin(visit: Visit, citizen: Citizen, entry: Entry, function: str) -> Response:
    """Decide and, where nothing stands in the way, hand out the one-time address."""
    launches = visit.parts.launches
    decision = await launches.consider(citizen, entry, function, gate=_code(visit, entry))
    if isinstance(decision, Go):
        return visit.to(f"/go/{await launches.start(citizen, entry, function)}")
    return _instead(visit, entry, decision, function)


def citizen_of(visit: Visit) -> Citizen:
    """Who is signed in.

    Raises:
        NotSignedIn: nobody.
        Unavailable: it cannot be said now.
    """
    if visit.visitor.citizen is not None:
        return visit.visitor.citizen
    if visit.visitor.store_away:
        raise Unavailable(detail="sessions cannot be read", headers={"Retry-After": "5"})
    raise NotSignedIn


def entry_of(visit: Visit, service: str) -> Entry:
    """A service that this visitor may know of.

    Raises:
        NotFound: unknown and hidden alike.
    """
    entry = visit.generation.entry(service)
    now = instant(visit.parts.clock.now())
    if entry is None or hidden(shown_now(entry, now)):
        raise NotFound
    return entry


def _gate(visit: Visit, entry: Entry) -> State | None:
    return gate(entry, visit.viewer, None, visit.parts.clock.now())


def _code(visit: Visit, entry: Entry) -> str | None:
    if hidden(shown_now(entry, instant(visit.parts.clock.now()))):
        return "hidden"
    state = _gate(visit, entry)
    return state.code.value if state is not None else None


def _instead(
    visit: Visit, entry: Entry, decision: NotNow | ProveMore | AskFirst, function: str
) -> Response:
    if isinstance(decision, ProveMore):
        page = f"/s/{entry.id}/{function}" if function else f"/s/{entry.id}"
        return visit.to(f"/sign-in?level={decision.level}&next={page}")
    if isinstance(decision, AskFirst):
        more = f"&function={function}" if function else ""
        return visit.to(f"/consent/{entry.id}?then=launch{more}")
    if decision.reason == "no_function":
        raise NotFound
    state = _gate(visit, entry)
    return visit.page(
        "launch/not_now.html",
        status=_GONE if decision.reason == "retired" else _CONFLICT,
        title=visit.say("launch.not_now"),
        entry=entry,
        why=state.message if state is not None else visit.say("launch.no_online"),
    )


def _dead(visit: Visit, step: Dead) -> Response:
    entry = visit.generation.entry(step.service) if step.service else None
    return visit.page(
        "launch/dead.html",
        status=_GONE,
        title=visit.say("launch.dead"),
        entry=entry,
        used=step.found.value == "used",
    )

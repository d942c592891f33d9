"""From a draft and its plugin's package to the `Entry` that the running program knows."""

import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, Final

import orjson

from gateway.conformance.finding import Finding
from gateway.conformance.mistakes import near
from gateway.contract.block import seconds
from gateway.contract.ids import DepartmentId, PluginId, ServiceId
from gateway.contract.manifest import CardSpec, DataItem, Function, LaunchLane, Service, Text
from gateway.hosting.package import Package
from gateway.registry.document_model import DirectoryEntry, PluginEntry
from gateway.registry.drafting import Draft, Head
from gateway.registry.entry import (
    Entry,
    Hours,
    Lane,
    Launching,
    OwnerName,
    Shown,
    Way,
    Window,
)
from gateway.registry.hosts import host_of, is_loopback

_HTTP: Final = re.compile(r"^https?://[^\s{}]+$", re.IGNORECASE)
_LAST_ORDER: Final = 1000
_TIMEOUT: Final = 3.0
_WEEK: Final = 7 * 86400.0


def compile_entry(
    draft: Draft, head: Head, package: Package | None, icon: str
) -> tuple[Entry | None, list[Finding]]:
    """Make the entry; `package` is that of its plugin (None for a directory entry)."""
    if isinstance(draft.spec, DirectoryEntry):
        return _finished(_directory(draft.spec, head), draft), []
    if package is None:
        return None, []
    service = next((s for s in package.manifest.services if s.id == draft.service), None)
    if service is None:
        has = [s.id for s in package.manifest.services]
        cure = near(draft.service, has) or f"choose one of {', '.join(has)}"
        places: dict[str, Any] = {"value": repr(draft.service), "plugin": repr(draft.plugin)}
        told = draft.source.finding(("plugin",), "unknown-service", **places)
        return None, [draft.source.saying(("plugin",), told.code, told.message, cure)]
    found = list(_lanes(draft, service, head)) + list(_functions(draft, service))
    if any(finding.severity == "error" for finding in found):
        return None, found
    parts = _plugged(draft.spec, service, package)
    return _finished({**parts, "icon": icon}, draft), found


def _finished(parts: dict[str, Any], draft: Draft) -> Entry:
    """What both kinds have in common, and the digest over everything."""
    spec = draft.spec
    successor = ServiceId(spec.successor) if spec.successor else None
    shown = tuple(
        Shown(
            state=line.state,
            since=line.since,
            testers=line.testers,
            sentence=line.sentence,
            reason=line.reason,
            successor=ServiceId(line.successor) if line.successor else successor,
        )
        for line in draft.shown
    )
    sheet = parts["sheet"]
    way = Way(**dict(spec.way)) if spec.way else Way(phone=sheet.phone, counter=sheet.place)
    entry = Entry(
        id=ServiceId(draft.source.id),
        digest="",
        topic=spec.topic or "",
        life_events=spec.life_events,
        news_tags=spec.news_tags,
        order=_LAST_ORDER if spec.order is None else spec.order,
        shown=shown,
        region=spec.region,
        min_host=spec.min_host,
        hours=Hours(**dict(spec.hours)) if spec.hours else None,
        maintenance=tuple(Window(**dict(window)) for window in spec.maintenance),
        way=way,
        **parts,
    )
    return entry.model_copy(update={"digest": entry_digest(entry)})


def entry_digest(entry: Entry) -> str:
    """SHA-256 over everything in an entry but the digest itself."""
    body = entry.model_dump_json(exclude={"digest"})
    return hashlib.sha256(body.encode()).hexdigest()


def _directory(spec: DirectoryEntry, head: Head) -> dict[str, Any]:
    owner = head.departments[spec.owner]
    return {
        "owner": OwnerName(
            id=DepartmentId(spec.owner), name=owner.name, phone=owner.phone, privacy=owner.privacy
        ),
        "name": spec.name,
        "short": spec.short,
        "summary": spec.summary,
        "aliases": spec.aliases,
        "item_code": spec.item_code,
        "sheet": spec.sheet,
        "functions": spec.functions,
        "launch": Launching(lane=Lane.LINK, address=spec.link) if spec.link else None,
    }


def _plugged(spec: PluginEntry, service: Service, package: Package) -> dict[str, Any]:
    manifest, department = package.manifest, package.manifest.department
    card = next((c for c in manifest.cards if c.id == service.card), None)
    data = tuple(item for item in manifest.data if item.id in service.data)
    names = spec.functions
    functions = tuple(f for f in service.functions if names is None or f.id in names)
    timeout = spec.timeout or (manifest.connect.timeout if manifest.connect else None)
    return {
        "plugin": PluginId(package.id),
        "service": service.id,
        "package": package.digest,
        "owner": OwnerName(
            id=DepartmentId(department.id),
            name=department.name,
            phone=department.duty_phone,
            privacy=department.privacy,
        ),
        "name": service.name,
        "short": service.short,
        "summary": service.summary,
        "aliases": tuple(dict.fromkeys((*service.aliases, *spec.aliases))),
        "item_code": service.item_code,
        "sheet": service.sheet,
        "functions": functions,
        "level": service.level,
        "proxy": service.proxy,
        "data": data,
        "consent_digest": consent_digest(department.id, department.name, department.privacy, data),
        "card": card,
        **_windows(spec, card),
        "timeout": seconds(timeout) if timeout else _TIMEOUT,
        "launch": _launching(spec, service, package),
    }


def _windows(spec: PluginEntry, card: CardSpec | None) -> dict[str, float]:
    fresh = seconds(spec.fresh or (card.fresh if card else "5min"))
    keep = seconds(spec.keep or (card.keep if card else "24h"))
    return {"fresh": fresh, "keep": min(max(keep, fresh), _WEEK)}


def consent_digest(
    department: str, recipient: Text, privacy: str, data: tuple[DataItem, ...]
) -> str:
    """What a citizen is asked, as one digest: who receives which items for what, and how long."""
    if not data:
        return ""
    asked = [item.model_dump(mode="json") for item in sorted(data, key=lambda item: item.id)]
    whole = [department, recipient.model_dump(), privacy, asked]
    return hashlib.sha256(orjson.dumps(whole, option=orjson.OPT_SORT_KEYS)).hexdigest()


def offered(service: Service) -> dict[str, LaunchLane]:
    """The lanes that a plugin can serve, by name."""
    lanes = {lane.value: getattr(service.launch, lane.value) for lane in Lane}
    return {name: lane for name, lane in lanes.items() if lane is not None}


def _launching(spec: PluginEntry, service: Service, package: Package) -> Launching | None:
    if spec.lane in (None, "none"):
        return None
    lane = offered(service)[spec.lane]
    return Launching(
        lane=Lane(spec.lane),
        address=lane.address,
        nonce_address=lane.nonce_address,
        keys=package.manifest.keys,
    )


def _lanes(draft: Draft, service: Service, head: Head) -> Iterator[Finding]:
    spec, has = draft.spec, offered(service)
    names = ", ".join(has) or "none"
    lane = getattr(spec, "lane", None)
    if lane is None and has:
        yield draft.source.finding((), "lane-not-chosen", has=names)
    if lane in (None, "none"):
        return
    if lane not in has:
        places: dict[str, Any] = {"value": repr(lane), "plugin": repr(draft.plugin), "has": names}
        yield draft.source.finding(("lane",), "lane-not-offered", **places)
        return
    for address in (has[lane].address, has[lane].nonce_address):
        if address is None:
            continue
        if not _HTTP.match(address):
            yield draft.source.finding(("lane",), "launch-address", value=repr(address))
        elif is_loopback(host_of(address)) and head.environment != "demo":
            yield draft.source.finding(("lane",), "loopback-host", value=repr(host_of(address)))


def _functions(draft: Draft, service: Service) -> Iterator[Finding]:
    has = [function.id for function in service.functions]
    names: tuple[str | Function, ...] = draft.spec.functions or ()
    for number, name in enumerate(names):
        if not isinstance(name, str):
            continue
        loc = ("functions", number)
        if name not in has:
            cure = near(name, has) or f"choose one of {', '.join(has) or '(none)'}"
            places: dict[str, Any] = {"value": repr(name), "service": repr(draft.service)}
            told = draft.source.finding(loc, "unknown-function", **places)
            yield draft.source.saying(loc, told.code, told.message, cure)
        elif name in names[:number]:
            yield draft.source.finding(loc, "function-twice", value=repr(name))


def overridden(package: Package, changes: Mapping[str, Any]) -> Package:
    """A package with what the registry says instead; its digest says so too."""
    if not changes:
        return package
    said = orjson.dumps(changes, option=orjson.OPT_SORT_KEYS)
    digest = hashlib.sha256(package.digest.encode() + said).hexdigest()
    return replace(package, digest=digest)

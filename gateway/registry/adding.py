"""`citygate registry add`: an entry for what a plugin offers, written where an admin would."""

from pathlib import Path
from typing import Any, Final

from gateway.conformance.document import read, validate
from gateway.conformance.finding import errors
from gateway.conformance.mistakes import near
from gateway.contract.manifest import Manifest, Service
from gateway.registry.compiling import offered
from gateway.registry.edit import CannotEdit, add_entry
from gateway.registry.gather import REGISTRY
from gateway.registry.working_copy import WorkingCopy

_SKELETON: Final = """\
registry: 1
city:
  code: "000000" # 行政区划代码 · GB/T 2260
  prefix: XX # 办件编号前缀 · prefix of case numbers
  name: {zh: 本市, en: Our city}
topics:
  - {id: services, name: {zh: 城市服务, en: City services}}
services:
"""
_LANES: Final = ("ticket", "oidc", "cas", "link")


def add_service(
    registry: Path, plugins: Path, wanted: str, *, topic: str, service: str
) -> tuple[Path, int, str]:
    """Add `plugin/service` to the registry file, which is made if there is none.

    Args:
        registry: the file.
        plugins: the folder of plugin folders.
        wanted: `plugin/service`, or the plugin alone where it offers one service.
        topic: its id; "": the first one.
        service: the entry's id; "": the plugin's own id for the service.

    Returns:
        The file, the line of the new entry, and a sentence.

    Raises:
        CannotEdit: no such plugin, service or topic, an id that is taken, a broken file.
    """
    manifest, offer = _offer(plugins, wanted)
    text = registry.read_bytes().decode("utf-8-sig") if registry.exists() else _SKELETON
    value = read(text, REGISTRY).value
    if not isinstance(value, dict):
        raise CannotEdit(f"{registry} is broken; `citygate check` says where")
    entries = value.get("services") or {}
    chosen = _topic(value, topic)
    identity = service or (offer.id if offer.id not in entries else f"{manifest.id}-{offer.id}")
    lane = next((name for name in _LANES if name in offered(offer)), "")
    edited = add_entry(
        text,
        identity,
        plugin=f"{manifest.id}/{offer.id}",
        topic=chosen,
        lane=lane,
        order=_next_order(entries, chosen),
        title=offer.short.zh,
    )
    WorkingCopy(registry, plugins, registry.parent).write(REGISTRY, edited.encode())
    line, _ = read(edited, REGISTRY).place(("services", identity), key=True)
    return registry, line, f"added {identity!r} to topic {chosen!r}"


def _offer(plugins: Path, wanted: str) -> tuple[Manifest, Service]:
    plugin, _, name = wanted.partition("/")
    file = plugins / plugin / "plugin.yaml"
    if not plugin or not file.is_file():
        here = sorted(p.parent.name for p in plugins.glob("*/plugin.yaml"))
        hint = near(plugin, here) or f"the plugins here are {', '.join(here) or '(none)'}"
        raise CannotEdit(f"no plugin {plugin!r} in {plugins}; {hint}")
    manifest, found = validate(read(file.read_bytes(), "plugin.yaml"), Manifest)
    if manifest is None:
        first = errors(found)[0]
        raise CannotEdit(f"{file}:{first.line}:{first.column} {first.message}")
    has = {service.id: service for service in manifest.services}
    if not name and len(has) == 1:
        return manifest, manifest.services[0]
    if name not in has:
        hint = near(name, has) or f"it offers {', '.join(has)}"
        raise CannotEdit(f"plugin {plugin!r} offers no service {name!r}; {hint}")
    return manifest, has[name]


def _topic(value: dict[str, Any], wanted: str) -> str:
    topics = value.get("topics")
    ids = [str(t["id"]) for t in topics if isinstance(t, dict) and "id" in t] \
        if isinstance(topics, list) else []  # fmt: skip
    if wanted and wanted not in ids:
        hint = near(wanted, ids) or f"the topics are {', '.join(ids)}"
        raise CannotEdit(f"no topic {wanted!r}; {hint}")
    if not ids:
        raise CannotEdit("the registry has no topics")
    return wanted or ids[0]


def _next_order(entries: dict[str, Any], topic: str) -> int:
    taken = [
        entry["order"]
        for entry in entries.values()
        if isinstance(entry, dict)
        and entry.get("topic") == topic
        and isinstance(entry.get("order"), int)
    ]
    return max(taken, default=0) // 10 * 10 + 10

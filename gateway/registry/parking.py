"""The entry of a service whose plugin could not be loaded: it stays in its place and says why."""

from typing import Any

from gateway.contract.ids import DepartmentId, PluginId, ServiceId
from gateway.contract.manifest import Sheet, Text
from gateway.registry.compiling import entry_digest
from gateway.registry.drafting import Draft, Head
from gateway.registry.entry import Entry, OwnerName, Shown, Way


def parked_entry(draft: Draft, head: Head, why: str, last: Entry | None) -> Entry:
    """An entry without a card and without a launch; texts of the last good one where there is one."""
    if last is not None:
        entry = last.model_copy(update={"parked": why, "card": None, "launch": None})
        return entry.model_copy(update={"digest": entry_digest(entry)})
    city, spec = head.document.city, draft.spec
    title = Text(zh=draft.source.id, en=draft.source.id)
    unknown = Text(zh="请致电咨询", en="Please ask by telephone")
    parts: dict[str, Any] = {
        "plugin": PluginId(draft.plugin),
        "service": draft.service,
        "owner": OwnerName(
            id=DepartmentId(draft.plugin or "city"), name=city.name, phone=city.hotline, privacy=""
        ),
        "sheet": Sheet(
            audience=unknown, fee=unknown, promised=unknown, result=unknown, place=unknown,
            phone=city.hotline,
        ),
    }  # fmt: skip
    entry = Entry(
        id=ServiceId(draft.source.id),
        digest="",
        parked=why,
        name=title,
        short=title,
        summary=unknown,
        topic=spec.topic or "",
        order=1000 if spec.order is None else spec.order,
        shown=tuple(Shown(state=line.state, since=line.since) for line in draft.shown),
        way=Way(**dict(spec.way)) if spec.way else Way(phone=city.hotline),
        **parts,
    )
    return entry.model_copy(update={"digest": entry_digest(entry)})

"""A revision brought to life: what workers serve from. Immutable; entries are read when asked for."""

from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, Self

import orjson

from gateway.conformance.finding import Finding
from gateway.contract.ids import PluginId, ServiceId
from gateway.contract.manifest import Text
from gateway.hosting.package import Package
from gateway.registry.artefact import Artefact, pack
from gateway.registry.entry import City, Entry, Topic
from gateway.registry.packing import unpack_package

_NOWHERE: Final[dict[str, Any]] = {
    "code": "000000",
    "prefix": "AA",
    "name": {"zh": "城市服务", "en": "City services"},
}


class Generation:
    """One prepared revision.

    Attributes:
        revision: its number; 0 before anything was ever published.
        digest: of everything that it was made of; equal on every node.
        services: every entry's id in showing order (topic, order, id), hidden ones included.
    """

    def __init__(self, artefact: Artefact, before: "Generation | None" = None) -> None:
        facts = artefact.facts
        self._artefact = artefact
        self._index: dict[str, str] = dict(facts["services"])
        self._entries: dict[str, Entry] = {}
        self._packages: dict[str, Package] = {}
        self.revision: int = facts["revision"]
        self.digest: str = facts["digest"]
        self.environment: str = facts["environment"]
        self.city = City.model_validate(facts["city"])
        self.topics = tuple(Topic.model_validate(topic) for topic in facts["topics"])
        self.life_events: Mapping[str, Text] = {
            key: Text.model_validate(text) for key, text in facts["life_events"].items()
        }
        self.services = tuple(ServiceId(key) for key in self._index)
        self.parked: Mapping[str, str] = facts["parked"]  # plugin -> why it could not be loaded
        if before is not None:
            self._inherit(before)

    @classmethod
    def load(cls, source: Path | bytes, before: "Generation | None" = None) -> Self:
        """Open a prepared artefact; values that did not change are taken from `before`.

        Raises:
            BadArtefact: it is damaged or was not written to its end.
            OSError: the file cannot be read.
        """
        return cls(Artefact(source), before)

    @classmethod
    def empty(cls, environment: str = "") -> Self:
        """What is served before anything was published: no services."""
        return cls.load(pack(empty_facts(environment), {}))

    def _inherit(self, before: "Generation") -> None:
        for service, entry in before._entries.items():  # noqa: SLF001 - of the same class
            if self._index.get(service) == entry.digest:
                self._entries[service] = entry
        wanted: dict[str, str] = self._artefact.facts["packages"]
        for plugin, package in before._packages.items():  # noqa: SLF001 - of the same class
            if wanted.get(plugin) == package.digest:
                self._packages[plugin] = package

    def entry(self, service: str) -> Entry | None:
        """One entry, hidden ones too; None where there is none."""
        entry = self._entries.get(service)
        if entry is None and service in self._index:
            content = self._artefact.part(f"entry:{service}") or b""
            entry = self._entries[service] = Entry.model_validate_json(content)
        return entry

    def digest_of(self, service: str) -> str:
        """An entry's digest, without reading the entry; "" where there is none."""
        return self._index.get(service, "")

    def package(self, plugin: PluginId) -> Package:
        """A plugin, opened.

        Raises:
            KeyError: no such plugin, or it is parked.
        """
        package = self._packages.get(plugin)
        if package is None:
            package = unpack_package(plugin, self._artefact)
            self._packages[plugin] = package
        return package

    def packages(self) -> Mapping[PluginId, Package]:
        """Every plugin that entries use, opened."""
        names = [PluginId(name) for name in self._artefact.facts["packages"]]
        return MappingProxyType({name: self.package(name) for name in names})

    def blob(self, key: str) -> bytes | None:
        """Bytes that were prepared: "search", "hall:zh:standard", "icon:<sha256>" and so on."""
        return self._artefact.part(f"blob:{key}")

    @property
    def findings(self) -> tuple[Finding, ...]:
        """What preparing had to say about it: warnings, and what is parked."""
        rows = orjson.loads(self._artefact.part("findings") or b"[]")
        return tuple(Finding(*row) for row in rows)

    @property
    def artefact(self) -> Artefact:
        """The container; only preparing the next one looks inside."""
        return self._artefact


def empty_facts(environment: str) -> dict[str, Any]:
    """The facts of a generation without anything."""
    return {
        "revision": 0,
        "digest": "",
        "environment": environment,
        "program": "",
        "city": _NOWHERE,
        "topics": [],
        "life_events": {},
        "services": [],
        "packages": {},
        "parked": {},
    }


class DraftGeneration(Generation):
    """A generation that is being prepared: what `extras` make prepared bytes from."""

    def __init__(self, artefact: Artefact, before: Generation | None = None) -> None:
        super().__init__(artefact, before)
        self._before = before
        self._kept: dict[str, bytes] = {}

    def remember(self, kind: str, service: str, make: Callable[[Entry], bytes]) -> bytes:
        """Bytes made from one entry alone, taken from the last generation where it is the same.

        `kind` says what is made ("search"); a changed program never sees old ones.
        """
        key = f"kept:{kind}:{service}:{self.digest_of(service)}"
        kept = self._before.artefact.part(key) if self._before is not None else None
        if kept is None:
            entry = self.entry(service)
            kept = make(entry) if entry is not None else b""
        self._kept[key] = kept
        return kept

    @property
    def kept(self) -> Mapping[str, bytes]:
        """What is to be remembered for the next time."""
        return self._kept

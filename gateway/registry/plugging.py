"""The plugin folders of a revision, opened for one environment with what the entries say."""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import orjson

from gateway.conformance.document import read
from gateway.conformance.essentials import essentials
from gateway.conformance.finding import Finding, errors
from gateway.conformance.icon import MOST_ICON, unsafe_in_icon
from gateway.conformance.opening import open_package
from gateway.contract.manifest import Limits
from gateway.hosting.package import Package, package_digest
from gateway.registry.codes import WARNINGS, sentence
from gateway.registry.compiling import overridden
from gateway.registry.gather import PLUGINS
from gateway.registry.hosts import is_invented, is_loopback, is_metadata, softened
from gateway.registry.reading import EntrySource


@dataclass(frozen=True, slots=True)
class Wish:
    """What one entry wants of its plugin in this environment."""

    entry: EntrySource
    settings: Mapping[str, str | int | bool]
    network: tuple[str, ...] | None
    limits: Mapping[str, Any] | None

    def items(self) -> dict[str, Any]:
        """All of it, flat."""
        said: dict[str, Any] = {f"settings.{key}": item for key, item in self.settings.items()}
        if self.network is not None:
            said["network"] = list(self.network)
        if self.limits is not None:
            said["limits"] = dict(self.limits)
        return said


def folders(files: Mapping[str, bytes]) -> dict[str, dict[str, bytes]]:
    """Each plugin's files by path inside its folder."""
    out: dict[str, dict[str, bytes]] = {}
    for path, content in files.items():
        if path.startswith(PLUGINS):
            plugin, _, inside = path[len(PLUGINS) :].partition("/")
            out.setdefault(plugin, {})[inside] = content
    return out


def merged(
    wishes: Iterable[Wish], environment: str
) -> tuple[dict[str, Any], dict[str, EntrySource], list[Finding]]:
    """What all entries of one plugin say together: values, who said each, contradictions."""
    values: dict[str, Any] = {}
    who: dict[str, EntrySource] = {}
    found: list[Finding] = []
    for wish in wishes:
        for key, item in wish.items().items():
            if key in values and values[key] != item:
                places: dict[str, Any] = {"value": repr(key), "other": repr(who[key].id)}
                loc = _place(wish.entry, key, environment)
                found.append(wish.entry.finding(loc, "settings-clash", **places))
            values.setdefault(key, item)
            who.setdefault(key, wish.entry)
    return values, who, found


def _place(entry: EntrySource, key: str, environment: str) -> tuple[str, ...]:
    own = ("environments", environment, *key.split(".", 1))
    if key == "limits" and "limits" not in entry.value.get("environments", {}).get(environment, {}):
        return ("limits",)
    return own


def open_plugin(
    plugin: str,
    files: Mapping[str, bytes],
    wishes: Iterable[Wish],
    environment: str,
    variables: Mapping[str, str],
) -> tuple[Package | None, list[Finding]]:
    """Open one plugin; findings about values that an entry gave stand at the entry."""
    values, who, found = merged(wishes, environment)
    settings = {k.partition(".")[2]: v for k, v in values.items() if k.startswith("settings.")}
    package, opened = open_package(
        files, environment=environment, overrides=settings, variables=variables
    )
    for finding in opened:
        name = finding.field.rpartition(".")[2]
        quoted = next((key for key in settings if f"{key!r}" in finding.message), name)
        if finding.code in ("unknown-setting", "setting-type") and f"settings.{quoted}" in who:
            entry = who[f"settings.{quoted}"]
            loc = ("environments", environment, "settings", quoted)
            key = finding.code == "unknown-setting"
            found.append(entry.saying(loc, finding.code, finding.message, finding.cure, key=key))
        else:
            found.append(finding.in_file(f"{PLUGINS}{plugin}/{finding.file}"))
    if package is None or errors(found):
        return None, found
    if "network" in values:
        pairs = tuple(_pair(text) for text in values["network"])
        package = replace(package, network=pairs)
    if "limits" in values:
        limits = Limits.model_validate(values["limits"])
        package = replace(package, manifest=package.manifest.model_copy(update={"limits": limits}))
    found += _hosts(plugin, package, files, environment)
    found += _icon(plugin, files)
    where = f"{PLUGINS}{plugin}/"
    found += [one.in_file(where + one.file) for one in essentials(plugin, files)]
    return (None if errors(found) else overridden(package, values)), found


def _pair(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    return host.strip("[]").lower(), int(port)


def package_key(files: Mapping[str, bytes], wishes: Iterable[Wish]) -> str:
    """Equal keys give equal packages in one environment of one program."""
    said = sorted(orjson.dumps(wish.items(), option=orjson.OPT_SORT_KEYS) for wish in wishes)
    whole = package_digest(files).encode() + b"\0".join(dict.fromkeys(said))
    return hashlib.sha256(whole).hexdigest()


def icon_of(files: Mapping[str, bytes]) -> str:
    """The digest of a plugin's icon; "" where it has none."""
    content = files.get("icon.svg")
    return hashlib.sha256(content).hexdigest() if content else ""


def _about(
    plugin: str, code: str, file: str, line: int = 1, column: int = 1, **places: object
) -> Finding:
    severity = "warning" if code in WARNINGS else "error"
    message, cure = sentence(code, **places)
    path = f"{PLUGINS}{plugin}/{file}"
    return Finding(path, line, column, code, severity, "", message, cure)  # type: ignore[arg-type]  # one of the two words


def _icon(plugin: str, files: Mapping[str, bytes]) -> list[Finding]:
    content = files.get("icon.svg")
    if content is None:
        return [_about(plugin, "icon-missing", "plugin.yaml", value=repr(plugin))]
    if len(content) > MOST_ICON:
        most = f"{MOST_ICON >> 10} KiB"
        return [_about(plugin, "icon-too-big", "icon.svg", value=repr(plugin), most=most)]
    unsafe = unsafe_in_icon(content)
    if unsafe is None:
        return []
    line, what = unsafe
    return [_about(plugin, "icon-unsafe", "icon.svg", line, value=repr(plugin), what=repr(what))]


def _hosts(
    plugin: str, package: Package, files: Mapping[str, bytes], environment: str
) -> list[Finding]:
    """Hosts and telephone numbers that this environment may not have."""
    found: list[Finding] = []
    document = read(files["plugin.yaml"], "plugin.yaml")
    own = ("environments", environment, "network")
    for number, (host, _) in enumerate(package.network):
        loc = (*own, number) if own in document.places else ("network", number)
        if is_metadata(host):
            line, column = document.place(loc)
            found.append(
                _about(plugin, "metadata-host", "plugin.yaml", line, column, value=repr(host))
            )
        elif is_loopback(host):
            line, column = document.place(loc)
            finding = _about(plugin, "loopback-host", "plugin.yaml", line, column, value=repr(host))
            if environment != "demo":
                found.append(finding)
            elif "demo" not in loc:
                found.append(softened(finding))
    department = package.manifest.department
    if environment == "production":
        for key in ("duty_phone", "credit_code"):
            value = getattr(department, key)
            if value.startswith("00") if key == "credit_code" else is_invented(value):
                line, column = document.place(("department", key))
                found.append(
                    _about(plugin, "invented", "plugin.yaml", line, column, value=repr(value))
                )
    return found

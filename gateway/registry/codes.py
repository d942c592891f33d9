"""Every kind of mistake in a registry: its code, what is wrong, and the cure.

What can go wrong in YAML itself has its codes in `gateway.conformance.surprises`; what is wrong
inside a plugin folder in `gateway.conformance`. Each code here also has a sentence for admins in
`words/{zh,en}/registry.json` under `code.<code>`.
"""

from typing import Final

from gateway.conformance.finding import Finding

# code: what is wrong, and its cure
SENTENCES: Final[dict[str, tuple[str, str]]] = {
    # files
    "no-registry": ("there is no registry file {value}", "create it, or set CITYGATE_REGISTRY"),
    "not-a-file": ("{value} is not a regular file", "put a file there"),
    "unreadable": ("{value} cannot be read: {why}", "give the right to read it"),
    "include-outside": (
        "{value} leads out of the registry's folder",
        "name files beside or below the registry file",
    ),
    "include-nothing": ("{value} matches no file", "mend the path, or remove the line"),
    "include-plugins": (
        "{value} reaches into the plugins folder",
        "keep registry files apart from plugin folders",
    ),
    "include-many": ("more than {most} included files", "put several services into one file"),
    "include-nested": ("an included file cannot include another", "list it in the registry file"),
    "registry-too-big": ("the registry files hold more than {most}", "shorten texts"),
    "folder-too-big": ("a plugin folder with more than {most}", "remove what is not part of it"),
    "path-name": ("{value} is no name for a file here", "use letters, digits, '-', '_' and '.'"),
    "link": ("{value} is a symbolic link that leads elsewhere", "put the file itself there"),
    # the document's head
    "twice-topic": ("the topic {value} stands twice", "keep one of the two"),
    "twice-department": ("the department {value} stands twice; first at {first}", "keep one"),
    "no-services": ("no services: the hall would be empty", "add at least one entry"),
    # one entry
    "service-id": (
        "{value} is no service id",
        "use lower-case letters, digits and '-', beginning with a letter",
    ),
    "duplicate-service": ("the service {value} stands twice; first at {first}", "remove one"),
    "not-a-mapping": ("{value} should be a mapping", "write `key: value` lines below it"),
    "unknown-plugin": ("no plugin folder {value}", ""),
    "unknown-service": ("plugin {plugin} offers no service {value}", ""),
    "unknown-function": ("service {service} has no function {value}", ""),
    "unknown-topic": ("no topic {value}", ""),
    "unknown-life-event": ("no life event {value}", ""),
    "unknown-department": ("no department {value}", ""),
    "unknown-region": ("no region {value} in city.regions", ""),
    "unknown-successor": ("no service {value} to succeed it", ""),
    "own-successor": ("{value} would succeed itself", "name another service"),
    "retired-successor": ("the successor {value} is retired itself", "name one that is shown"),
    "lane-not-offered": ("plugin {plugin} does not offer the lane {value}", "choose one of {has}"),
    "lane-not-chosen": ("the plugin offers {has}, and none is chosen", "add `lane:`"),
    "launch-address": ("{value} is no http or https address", "write scheme, host and path"),
    "missing-topic": ("the entry has no topic", "add `topic:`"),
    "missing-words": ("the text has no {value}", "write it in both languages"),
    "short-too-long": ("the short name has {value} characters; a card's title holds 12", "shorten"),
    "text-spaces": ("the text begins or ends with a space", "remove it"),
    "function-twice": ("the function {value} stands twice", "keep one"),
    "icon-missing": ("plugin {value} has no icon.svg: the topic's icon is shown", "add one"),
    "icon-unsafe": ("icon.svg of {value} holds {what}", "draw with shapes only"),
    "icon-too-big": ("icon.svg of {value} has more than {most}", "simplify it"),
    # time and visibility
    "date-without-zone": ("{value} has no time zone", 'add one, as in "2026-12-01T00:00:00+08:00"'),
    "date": ("{value} is no date with time", "write it as 2026-12-01T00:00:00+08:00"),
    "time-of-day": ("{value} is no time of day", 'write it as "08:30", in quotes'),
    "season": ("{value} is no day of the year", 'write it as "06-01", in quotes'),
    "season-half": ("a season needs both season_start and season_end", "add the other one"),
    "hours-order": ("it closes at {closes}, not after it opens at {opens}", "mend the times"),
    "window-backwards": ("the window ends at {end}, not after its start {start}", "mend the dates"),
    "window-empty": (
        "a window needs start and end, or daily_start and daily_end",
        "write one of the two pairs",
    ),
    "window-over": ("the window was over at {end}", "remove it"),
    "weekday-twice": ("the weekday {value} stands twice", "keep one"),
    "visibility-order": ("{value} is not later than the line before it", "sort by `since`"),
    "visibility-no-since": ("from when? Only the first line may have no `since`", "add `since:`"),
    "testers-missing": ("{value} without testers: nobody would see it", "add `testers:`"),
    "testers-ignored": ("{value} entries are not limited to testers", "remove `testers:`"),
    "retired-no-way": (
        "retired without a successor and without another way",
        "add `successor:` or `way:`",
    ),
    "suspended-no-sentence": ("suspended without a sentence for citizens", "add `sentence:`"),
    # values
    "phone": ("{value} is no telephone number", "digits, '+', '-' and spaces, at least 3"),
    "credit-code": ("{value} is no unified social credit code: its check digit is wrong", ""),
    "credit-code-form": ("{value} is no unified social credit code", "18 digits and capitals"),
    "address": ("{value} is no address", "write it as https://host/path"),
    "region-code": ("{value} is no region code", "6 digits, in quotes"),
    "host-version": ("{value} is no version of the host app", 'write it as "6.2.0"'),
    "plugin-form": ("{value} does not name a plugin's service", "write plugin/service: gjj/gjj"),
    "word-form": ("{value} is no identifier", "lower-case letters, digits and '-'"),
    "prefix-form": ("{value} is no prefix", "two capitals"),
    "duration": ("{value} is no duration", "write 500ms, 3s, 5min, 24h or 7d"),
    "keep-too-long": ("copies may be kept for 7d at most, not {value}", "shorten it"),
    "fresh-over-keep": ("fresh for {value}, but kept only for {keep}", "keep it at least as long"),
    "host-port": ("{value} is no host and port", 'write "host:port"'),
    "order-clash": ("{value} is also the order of {other} in this topic", "give each its own"),
    # environments and networks
    "settings-clash": (
        "{value} differs from what entry {other} says for the same plugin",
        "write it in one of them",
    ),
    "loopback-host": ("{value} is this machine itself", "write it under environments.demo"),
    "metadata-host": ("{value} is a link-local address", "write the department's own host"),
    "plain-http": ("{value} is not encrypted", "use https"),
    "invented": ("{value} belongs to the simulated city", "write the real one"),
    "variable": ("the variable {value} is not set and has no default", "write ${{{value}:-value}}"),
    "cannot-clear": ("{value} cannot be switched off by false", "write another value"),
    "parked": ("plugin {value} cannot be loaded here: {why}", "see its findings"),
}

WARNINGS: Final = frozenset(
    {
        "no-services", "lane-not-chosen", "text-spaces", "icon-missing", "window-over",
        "testers-ignored", "suspended-no-sentence", "order-clash", "plain-http",
        "retired-successor", "include-nothing",
    }
)  # fmt: skip

# The last key of a value → the code of a text that does not look right there
_BY_KEY: Final = {
    "phone": "phone", "duty_phone": "phone", "hotline": "phone",
    "credit_code": "credit-code-form", "privacy": "address", "link": "address", "url": "address",
    "code": "region-code", "region": "region-code", "regions": "region-code",
    "min_host": "host-version", "plugin": "plugin-form",
    "daily_start": "time-of-day", "daily_end": "time-of-day",
    "opens": "time-of-day", "closes": "time-of-day",
    "season_start": "season", "season_end": "season", "prefix": "prefix-form",
    "timeout": "duration", "fresh": "duration", "keep": "duration",
}  # fmt: skip
_DATES: Final = ("datetime-parsing", "datetime-type", "datetime-from-date-parsing")


def sentence(code: str, **places: object) -> tuple[str, str]:
    """What is wrong and its cure, with places filled."""
    message, cure = SENTENCES[code]
    return message.format_map(places), cure.format_map(places)


def named(finding: Finding) -> Finding:
    """A model's finding under the registry's own code, where it has one."""
    code = _code(finding)
    if code is None:
        return finding
    value = finding.message.split(": should", 1)[0].removesuffix(" does not look right")
    if code == "missing-words":
        value = {"zh": "Chinese (zh)", "en": "English (en)"}[_last(finding.message)]
    message, cure = sentence(code, value=value)
    return Finding(
        finding.file, finding.line, finding.column, code, finding.severity, finding.field,
        message, cure or finding.cure,
    )  # fmt: skip


def _last(message: str) -> str:
    return message.split("'")[1] if "'" in message else ""


def _code(finding: Finding) -> str | None:
    if finding.code == "timezone-aware":
        return "date-without-zone"
    if finding.code in _DATES:
        return "date"
    if finding.code == "missing":
        last = _last(finding.message)
        return {"zh": "missing-words", "en": "missing-words", "topic": "missing-topic"}.get(last)
    if finding.code != "string-pattern-mismatch":
        return None
    keys = [part for part in finding.field.split(".") if not part.isdigit()]
    return _BY_KEY.get(keys[-1] if keys else "", "word-form")

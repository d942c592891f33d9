"""Mistakes of every kind, each with the place where it must be found (marked by §)."""

from dataclasses import dataclass

from tests.gateway.registry import samples


@dataclass(frozen=True)
class Mistake:
    """Replace `old` by `new` in one of the sample texts; § in `new` marks the expected place."""

    code: str
    base: str  # gjj | care | plain | head | text (new is a whole file of entries)
    old: str
    new: str
    environment: str = "demo"
    now: int = 0

    @property
    def id(self) -> str:
        """For the test's name."""
        return (
            f"{self.code}-{self.base}-{abs(hash(self.new)) % 1000}" if not self.code else self.code
        )


# fmt: off
ENTRY: tuple[Mistake, ...] = (
    Mistake("unknown-key", "care", "    topic:", "    §topik: x\n    topic:"),
    Mistake("missing", "care", "    owner: zjj\n", ""),
    Mistake("missing-topic", "care", "    topic: health\n", ""),
    Mistake("missing-words", "care", "summary: {zh: 上门服务, en: At home}", "summary: §{zh: 上门服务}"),
    Mistake("unknown-topic", "care", "topic: health", "topic: §helth"),
    Mistake("unknown-department", "care", "owner: zjj", "owner: §zjx"),
    Mistake("unknown-region", "care", 'region: ["000121"]', 'region: [§"000122"]'),
    Mistake("unknown-life-event", "gjj", "[home]", "[§hom]"),
    Mistake("unknown-plugin", "gjj", "plugin: gjj/gjj", "plugin: §gij/gjj"),
    Mistake("unknown-service", "gjj", "plugin: gjj/gjj", "plugin: §gjj/gij"),
    Mistake("unknown-function", "gjj", "functions: [balance]", "functions: [§balence]"),
    Mistake("lane-not-offered", "gjj", "lane: ticket", "lane: §oidc"),
    Mistake("lane-not-chosen", "gjj", "    lane: ticket\n", ""),
    Mistake("literal-error", "gjj", "lane: ticket", "lane: §tickt"),
    Mistake("enum", "care", "- {state: published}", "- {state: §publishd}"),
    Mistake("unknown-successor", "care", "successor: plain", "successor: §plane"),
    Mistake("own-successor", "care", "successor: plain", "successor: §care"),
    Mistake("retired-no-way", "plain", "    owner: zjj\n", "    owner: zjj\n    visibility: §retired\n"),
    Mistake("testers-missing", "plain", "    owner: zjj\n", "    owner: zjj\n    visibility: §trial\n"),
    Mistake("testers-ignored", "care", "- {state: published}", "- {state: published, testers: §[a]}"),
    Mistake("suspended-no-sentence", "plain", "    owner: zjj\n", "    owner: zjj\n    visibility: §suspended\n"),
    Mistake("visibility-order", "care", "- {state: published}", '- {state: published}\n      - {state: hidden, since: "2031-01-01T00:00:00+08:00"}'),
    Mistake("visibility-no-since", "care", 'since: "2030-01-01T00:00:00+08:00", ', ""),
    Mistake("date-without-zone", "care", '"2030-01-01T00:00:00+08:00"', '§"2030-01-01T00:00:00"'),
    Mistake("date", "care", '"2030-01-01T00:00:00+08:00"', "§2030-13-01"),
    Mistake("window-backwards", "care", 'end: "2027-01-01T06:00:00+08:00"', 'end: §"2026-12-31T06:00:00+08:00"'),
    Mistake("window-empty", "care", '- {daily_start: "23:30", daily_end: "01:00"}', '- §{daily_start: "23:30"}'),
    Mistake("window-over", "care", 'end: "2027-01-01T06:00:00+08:00"', 'end: §"2027-01-01T06:00:00+08:00"', now=1_900_000_000_000_000),
    Mistake("time-of-day", "care", 'opens: "08:30"', 'opens: §"8:30"'),
    Mistake("hours-order", "care", 'closes: "17:30"', 'closes: §"07:30"'),
    Mistake("season", "care", 'season_end: "07-15"', 'season_end: §"7-15"'),
    Mistake("season-half", "care", ', season_end: "07-15"', ""),
    Mistake("weekday-twice", "care", "weekdays: [1, 2, 3]", "weekdays: [1, 2, §2]"),
    Mistake("less-than-equal", "care", "weekdays: [1, 2, 3]", "weekdays: [1, 2, §8]"),
    Mistake("phone", "care", '{phone: "10000002101"}', '{phone: §"call us"}'),
    Mistake("address", "care", "link: https://care.anlan.example/", "link: §care.anlan.example"),
    Mistake("plain-http", "care", "link: https://care.anlan.example/", "link: §http://care.anlan.example/"),
    Mistake("loopback-host", "care", "link: https://care.anlan.example/", "link: §https://127.0.0.1/", environment="staging"),
    Mistake("metadata-host", "care", "link: https://care.anlan.example/", "link: §https://169.254.169.254/"),
    Mistake("variable", "care", "link: https://care.anlan.example/", "link: §https://care.example:${NO_SUCH_PORT}/"),
    Mistake("region-code", "care", 'region: ["000121"]', 'region: [§"00121"]'),
    Mistake("host-version", "care", 'min_host: "6.2.0"', 'min_host: §"v6"'),
    Mistake("string-type", "care", 'min_host: "6.2.0"', "min_host: §6"),
    Mistake("int-type", "care", "order: 10", 'order: §"10"'),
    Mistake("plugin-form", "gjj", "plugin: gjj/gjj", "plugin: §gjj"),
    Mistake("word-form", "care", "owner: zjj", "owner: §ZJJ"),
    Mistake("short-too-long", "care", "short: {zh: 居家养老, en", "short: {zh: §一二三四五六七八九十一二三, en"),
    Mistake("text-spaces", "care", "summary: {zh: 上门服务,", 'summary: {zh: §"上门服务 ",'),
    Mistake("function-twice", "care", "      - {id: apply, name: {zh: 申请, en: Apply}}\n", "      - {id: apply, name: {zh: 申请, en: Apply}}\n      - {id: §apply, name: {zh: 再申请, en: Again}}\n"),
    Mistake("duration", "gjj", "lane: ticket", "lane: ticket\n    fresh: §5 minutes"),
    Mistake("keep-too-long", "gjj", "lane: ticket", "lane: ticket\n    keep: §8d"),
    Mistake("fresh-over-keep", "gjj", "lane: ticket", "lane: ticket\n    keep: 1h\n    fresh: §2h"),
    Mistake("cannot-clear", "gjj", "      production:\n", "      staging:\n        topic: §false\n      production:\n"),
    Mistake("unknown-setting", "gjj", "      production:\n", "      demo:\n        settings: {§apy: x}\n      production:\n"),
    Mistake("setting-type", "gjj", "      production:\n", "      demo:\n        settings: {quick: §maybe}\n      production:\n"),
    Mistake("host-port", "gjj", '["gjj.anlan.example:443"]', '[§"gjj.anlan.example:0"]', environment="production"),
    Mistake("invented", "care", '{phone: "10000002101"}', '{phone: §"10000002101"}', environment="production"),
    Mistake("not-a-mapping", "text", "", "  listed: §[a, b]\n"),
    Mistake("service-id", "text", "", samples.plain("Odd_Id").replace("  Odd_Id:", "  §Odd_Id:")),
    Mistake("string-too-long", "plain", "zh: 一句话,", f"zh: §{'长' * 401},"),
    Mistake("too-long", "plain", "[别名, alias", f"§[{', '.join(f'w{n}' for n in range(21))}, alias"),
    # YAML's own
    Mistake("twice", "care", "    owner: zjj\n", "    owner: zjj\n    §owner: zjj\n"),
    Mistake("yaml-1.1-word", "care", "topic: health", "topic: §yes"),
    Mistake("octal", "care", "order: 10", "order: §010"),
    Mistake("base-60", "care", 'opens: "08:30"', "opens: §17:30"),
    Mistake("odd-number", "care", "order: 10", "order: §0x10"),
    Mistake("anchor", "care", "topic: health", "topic: §&a health"),
    Mistake("tag", "care", "topic: health", "topic: §!!str health"),
    Mistake("curly-quotes", "care", "topic: health", "topic: §“health”"),
    Mistake("merge", "care", "    owner: zjj\n", "    owner: zjj\n    §<<: {order: 3}\n"),
    Mistake("full-width-comma", "plain", "[别名, alias", "[§别名，alias"),
)
HEADS: tuple[Mistake, ...] = (
    Mistake("credit-code", "head", '"00000100MB0000001D"', '§"00000100MB0000001X"'),
    Mistake("credit-code-form", "head", '"00000100MB0000001D"', '§"123"'),
    Mistake("prefix-form", "head", "prefix: AL", "prefix: §anlan"),
    Mistake("twice-topic", "head", "  - {id: health,", "  - {id: housing, name: {zh: 甲, en: A}}\n  - {id: health,"),
    Mistake("include-nothing", "head", "registry: 1\n", "registry: 1\ninclude:\n  - §nothing/*.yaml\n"),
    Mistake("include-outside", "head", "registry: 1\n", "registry: 1\ninclude:\n  - §../other.yaml\n"),
    Mistake("unknown-key", "head", "departments:\n", "§departmnts: {}\ndepartments:\n"),
)
# Each of these ends the reading of its file, so each stands in a file of its own.
FATAL: tuple[Mistake, ...] = (
    Mistake("syntax", "text", "", "  a:\n    name: {zh: 甲\n    topic§: x\n"),
    Mistake("tab", "text", "", "  a:\n§\tname: x\n"),
    Mistake("full-width-colon", "text", "", "  a:\n    §name： 甲\n"),
    Mistake("second-document", "text", "", "  a:\n    topic: x\n§---\nb: 1\n"),
    Mistake("conflict", "text", "", "§<<<<<<< mine\n  a: 1\n"),
    Mistake("control", "text", "", "  a: x§\x07y\n"),
)
# fmt: on


def planted(mistake: Mistake, name: str = "") -> tuple[str, str, tuple[int, int] | None]:
    """The text with the mistake, without §; and line and column of §, within the text."""
    base = {
        "gjj": samples.GJJ, "care": samples.CARE, "plain": samples.plain("plain"),
        "head": samples.HEAD, "text": "",
    }[mistake.base]  # fmt: skip
    assert mistake.old in base, mistake
    text = base.replace(mistake.old, mistake.new, 1) if mistake.old else mistake.new
    own = {"gjj": "gjj", "care": "care", "plain": "plain"}.get(mistake.base, "")
    if name and own:
        text = text.replace(f"  {own}:", f"  {name}:", 1)
        if mistake.code == "own-successor":
            text = text.replace("successor: §care", f"successor: §{name}")
    at = text.find("§")
    place = None
    if at >= 0:
        place = (text.count("\n", 0, at), at - (text.rfind("\n", 0, at) + 1) + 1)
    return text.replace("§", ""), name or own, place

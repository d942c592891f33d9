"""A small registry with a plugin, and a big one made of it; mistakes are planted into both."""

import sys
from pathlib import Path
from typing import Final

from gateway.clock import SystemClock
from gateway.registry.gather import REGISTRY
from gateway.registry.generation import Generation
from gateway.registry.prepare import Prepared, prepare
from gateway.registry.workshop import Workshop

ROOT: Final = Path(__file__).resolve().parents[3]
CHILD: Final = (
    sys.executable,
    "-c",
    (
        f"import sys; sys.path.insert(0, {str(ROOT)!r});"
        "from gateway.registry.workshop import run_prepare;"
        "sys.exit(run_prepare(sys.argv[1:], lambda draft: {'count': str(len(draft.services)).encode()}))"
    ),
)

HEAD: Final = """\
registry: 1
city: # a comment that must stay
  code: "000100"
  prefix: AL
  name: {zh: 安澜市, en: Anlan}
  hotline: "12345"
  regions:
    "000102": {zh: 望江区, en: Wangjiang}
    "000121": {zh: 青溪县, en: Qingxi}
topics:
  - {id: housing, icon: home, name: {zh: 住房, en: Housing}}
  - {id: health, icon: heart, name: {zh: 健康, en: Health}}
life_events:
  home: {zh: 买房, en: Home}
departments:
  zjj:
    name: {zh: 住建局, en: Housing Bureau}
    credit_code: "00000100MB0000001D"
    phone: "10000002001"
    privacy: https://zjj.anlan.example/privacy
"""

GJJ: Final = """\
  gjj: # 公积金
    plugin: gjj/gjj
    topic: housing
    order: 10
    life_events: [home]
    functions: [balance]
    lane: ticket
    environments:
      production:
        settings: {api: "https://gjj.anlan.example", quick: false}
        network: ["gjj.anlan.example:443"]
"""

CARE: Final = """\
  care:
    name: {zh: 居家养老, en: Home care}
    short: {zh: 居家养老, en: Home care}
    summary: {zh: 上门服务, en: At home}
    topic: health
    order: 10
    owner: zjj
    link: https://care.anlan.example/
    region: ["000121"]
    min_host: "6.2.0"
    hours: {opens: "08:30", closes: "17:30", weekdays: [1, 2, 3], season_start: "06-01", season_end: "07-15"}
    maintenance:
      - {start: "2027-01-01T00:00:00+08:00", end: "2027-01-01T06:00:00+08:00"}
      - {daily_start: "23:30", daily_end: "01:00"}
    visibility:
      - {state: published}
      - {state: retired, since: "2030-01-01T00:00:00+08:00", successor: plain}
    way: {phone: "10000002101"}
    functions:
      - {id: apply, name: {zh: 申请, en: Apply}}
    sheet:
      audience: {zh: 老人, en: The elderly}
      documents:
        - {zh: 身份证, en: Identity card}
      fee: {zh: 免费, en: Free}
      promised: {zh: 三天, en: Three days}
      result: {zh: 上门, en: A visit}
      place: {zh: 街道, en: Street office}
      phone: "10000002102"
"""

PLAIN: Final = """\
  {id}:
    name: {{zh: 服务{id}, en: Service {id}}}
    short: {{zh: 服务, en: Service}}
    summary: {{zh: 一句话, en: A sentence}}
    topic: health
    owner: zjj
    aliases: [别名, alias {id}]
    sheet:
      audience: {{zh: 市民, en: Everybody}}
      documents:
        - {{zh: 身份证, en: Identity card}}
        - {{zh: 申请表, en: Form}}
      fee: {{zh: 免费, en: Free}}
      promised: {{zh: 5 个工作日, en: 5 working days}}
      result: {{zh: 短信, en: Message}}
      place: {{zh: 大厅, en: Hall}}
      phone: "10000002103"
"""

MANIFEST: Final = """\
contract: "1.0"
id: gjj
version: 1.0.0
name: {zh: 公积金, en: Provident fund}
department:
  id: gjj-centre
  name: {zh: 公积金中心, en: Fund centre}
  credit_code: "00000100MB0000002G"
  people:
    - {name: 钱卫东, phone: "10000000201", email: a@anlan.example}
    - {name: 孙小宁, phone: "10000000202", email: b@anlan.example}
  duty_phone: "10000002000"
  privacy: https://gjj.anlan.example/privacy
kind: recipe
settings:
  api: {type: url}
  quick: {type: bool, default: true}
environments:
  demo:
    settings: {api: "http://gjj.localhost:${PORT_GJJ:-18101}"}
    network: ["gjj.localhost:${PORT_GJJ:-18101}"]
network: ["gjj.anlan.example:443"]
connect: {base: "{setting.api}"}
data:
  - {id: name, claim: name, label: {zh: 姓名, en: Name}, purpose: {zh: 查账户, en: Find the account}, keep: 30d}
cards:
  - id: balance
    template: figure
    facts:
      - {id: balance, label: {zh: 余额, en: Balance}, kind: money}
    speak: {zh: "余额 {balance}", en: "Balance {balance}"}
    empty: {zh: 没有账户, en: No account}
services:
  - id: gjj
    name: {zh: 住房公积金, en: Housing provident fund}
    short: {zh: 公积金, en: Provident fund}
    summary: {zh: 余额和提取, en: Balance and withdrawal}
    sheet:
      audience: {zh: 缴存职工, en: Employees}
      fee: {zh: 免费, en: Free}
      promised: {zh: 三天, en: Three days}
      result: {zh: 到账, en: Paid}
      place: {zh: 中心, en: Centre}
      phone: "10000002000"
    functions:
      - {id: balance, name: {zh: 余额, en: Balance}}
      - {id: withdraw, name: {zh: 提取, en: Withdraw}}
    data: [name]
    card: balance
    launch:
      ticket: {address: "{setting.api}/landing"}
"""

RECIPE: Final = """\
recipe: 1
calls:
  account: {path: /account, query: {name: "{citizen.name}"}}
cards:
  balance:
    from: account
    facts: {balance: data.balance}
"""
ICON: Final = (
    b'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 8 8"><path d="M0 0h8v8z"/></svg>'
)


def plain(name: str) -> str:
    """One directory entry."""
    return PLAIN.format(id=name)


def registry(*entries: str) -> str:
    """A registry with these entries, or the usual three."""
    return HEAD + "services:\n" + "".join(entries or (GJJ, CARE, plain("plain")))


def plugin(manifest: str = MANIFEST) -> dict[str, bytes]:
    """The plugin's files, named as in a revision."""
    return {
        "plugins/gjj/plugin.yaml": manifest.encode(),
        "plugins/gjj/recipe.yaml": RECIPE.encode(),
        "plugins/gjj/icon.svg": ICON,
    }


def files(text: str = "", **more: bytes) -> dict[str, bytes]:
    """The files of a revision."""
    return {REGISTRY: (text or registry()).encode(), **plugin(), **more}


def prepared(
    given: dict[str, bytes],
    *,
    environment: str = "demo",
    before: Generation | None = None,
    tolerant: bool = False,
    now: int = 0,
) -> Prepared:
    """Prepare without extras."""
    return prepare(
        given, environment=environment, variables={}, revision=1, before=before, tolerant=tolerant,
        now=now,
    )  # fmt: skip


def generation(
    given: dict[str, bytes] | None = None, before: Generation | None = None
) -> Generation:
    """The generation of files that have no error."""
    done = prepared(given or files(), before=before)
    assert done.artefact is not None, done.findings
    return Generation.load(done.artefact, before)


def write(folder: Path, given: dict[str, bytes] | None = None) -> Path:
    """Put files where admins and departments edit them; the registry file."""
    for path, content in (given or files()).items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
    (folder / "plugins").mkdir(exist_ok=True)
    return folder / REGISTRY


def workshop(state: Path, environment: str = "demo") -> Workshop:
    """A workshop whose child has extras of its own."""
    state.mkdir(exist_ok=True)
    return Workshop(state, environment, {}, SystemClock(), CHILD)

"""`service_registry.yaml`: what admins edit, one pydantic model for each block.

An entry is read by itself (`PluginEntry` or `DirectoryEntry`), so that its mistakes have places and
one bad entry never hides another. The Chinese descriptions become the editor's hover texts.
"""

from typing import Annotated, Any, Literal

from pydantic import AwareDatetime, Discriminator, Field, Tag

from gateway.contract.block import Block, Duration, HostPort
from gateway.contract.ids import PLUGIN_ID_PATTERN, SERVICE_ID_PATTERN
from gateway.contract.manifest import Function, Limits, Sheet, Text
from gateway.registry.entry import Visibility

EnvironmentName = Literal["demo", "staging", "production"]
Phone = Annotated[str, Field(pattern=r"^[0-9+\- ]{3,20}$")]
# No user information: what stands before an '@' is taken for the host by people.
Address = Annotated[
    str, Field(pattern=r"^https?://[^\s<>\"'@/?#]+(?:[/?#][^\s<>\"']*)?$", max_length=400)
]
RegionCode = Annotated[str, Field(pattern=r"^[0-9]{6}$")]
Word = Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,40}$")]
ServiceRef = Annotated[str, Field(pattern=SERVICE_ID_PATTERN)]
TimeOfDay = Annotated[str, Field(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$|^24:00$")]
MonthDay = Annotated[str, Field(pattern=r"^(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])$")]
Weekdays = tuple[Annotated[int, Field(ge=1, le=7)], ...]


def told(text: str, default: Any = ..., **more: Any) -> Any:
    """A field with the description that editors show."""
    return Field(default, description=text, **more)


class CitySpec(Block):
    """Whose hall it is."""

    code: RegionCode = told("行政区划代码，6 位，加引号")
    prefix: str = told("办件编号、回执编号的前缀，两个大写字母", pattern=r"^[A-Z]{2}$")
    name: Text = told("城市名称")
    hotline: Phone = told("政务服务便民热线", "12345")
    regions: dict[RegionCode, Text] = told(
        "下辖区县：代码 → 名称；条目的 region 只能用这里有的代码", default_factory=dict
    )


class TopicSpec(Block):
    """One heading of the hall; the list's order is the order shown."""

    id: Word = told("主题代号，小写字母，条目用 topic 引用它")
    name: Text = told("主题名称")
    icon: str = told("图标名称（内置图标），可省略", "", pattern=r"^[a-z0-9-]{0,40}$")


class DepartmentSpec(Block):
    """A department that directory entries name; plugins bring their own."""

    name: Text = told("部门名称")
    credit_code: str = told("统一社会信用代码，18 位", pattern=r"^[0-9A-Z]{18}$")
    phone: Phone = told("值班电话，市民看得到")
    privacy: Address = told("隐私政策地址")


class ShownSpec(Block):
    """Visibility from an instant on."""

    state: Visibility = told(
        "hidden 隐藏 · trial 试用 · gray 灰度 · published 发布 · suspended 暂停 · retired 下线"
    )
    since: AwareDatetime | None = told(
        "从何时起，必须带时区，如 2026-12-01T00:00:00+08:00；省略为一直如此", None
    )
    testers: tuple[str, ...] = told("试用或灰度期间能看到它的测试组", ())
    sentence: Text | None = told("告诉市民的一句话（暂停、下线时）", None)
    reason: str | None = told("原因，只给管理员看并写入审计", None, max_length=400)
    successor: ServiceRef | None = told("下线后由哪个条目接替", None)


def _kind(value: Any) -> str:
    return "word" if isinstance(value, str) else "list" if isinstance(value, list) else "one"


VisibilitySpec = Annotated[
    Annotated[Visibility, Tag("word")]
    | Annotated[ShownSpec, Tag("one")]
    | Annotated[tuple[ShownSpec, ...], Field(min_length=1), Tag("list")],
    Discriminator(_kind),
]


class WindowSpec(Block):
    """A maintenance window: between two instants, or each day between two times."""

    start: AwareDatetime | None = told("开始时刻，带时区", None)
    end: AwareDatetime | None = told("结束时刻，带时区", None)
    daily_start: TimeOfDay | None = told('每天几点开始，如 "23:30"（加引号）', None)
    daily_end: TimeOfDay | None = told('每天几点结束；比开始早就是跨过午夜，如 "01:00"', None)
    weekdays: Weekdays = told("只在星期几，1 是星期一；省略为每天", ())
    note: Text | None = told("告诉市民的一句话", None)


class HoursSpec(Block):
    """When an online service is open."""

    weekdays: Weekdays = told("星期几开放，1 是星期一", (1, 2, 3, 4, 5, 6, 7))
    opens: TimeOfDay = told('几点开，如 "09:00"（加引号）', "00:00")
    closes: TimeOfDay = told('几点关，如 "17:30"；"24:00" 为整天', "24:00")
    season_start: MonthDay | None = told('每年从哪天开放，月-日，如 "06-01"', None)
    season_end: MonthDay | None = told('每年到哪天为止，月-日，如 "07-15"', None)


class WaySpec(Block):
    """The other way, told where it cannot be done online."""

    phone: Phone = told("电话")
    counter: Text | None = told("窗口", None)
    url: Address | None = told("网址", None)


class Values(Block):
    """What every entry may say and every environment may change."""

    topic: Word | None = told("主题，必填；必须是 topics 里有的", None)
    order: int | None = told("同一主题内的次序，小的在前", None, ge=0, le=100_000)
    life_events: tuple[Word, ...] = told("属于哪些人生事件（life_events 里有的）", ())
    aliases: tuple[str, ...] = told("别名，搜索用", (), max_length=20)
    news_tags: tuple[str, ...] = told("新闻标签：带这些标签的文章下面会出现它", (), max_length=20)
    visibility: VisibilitySpec = told(
        "可见状态：一个词，或带生效时刻的列表；省略为 published", Visibility.PUBLISHED
    )
    successor: ServiceRef | None = told("下线后由哪个条目接替", None)
    region: tuple[RegionCode, ...] = told("只服务哪些区县；省略为全市", ())
    min_host: str | None = told(
        "宿主 App 的最低版本，如 6.2.0", None, pattern=r"^[0-9]{1,4}(\.[0-9]{1,4}){0,3}$"
    )
    hours: HoursSpec | None = told("开放时间；省略为全天", None)
    maintenance: tuple[WindowSpec, ...] = told("维护窗口", (), max_length=50)
    way: WaySpec | None = told("别的办法；省略时用办事指南里的电话和地点", None)


class PluginValues(Values):
    """What an entry with a plugin may say besides."""

    functions: tuple[ServiceRef, ...] | None = told(
        "展示哪些办理项；省略为全部，[] 为都不展示", None
    )
    lane: Literal["ticket", "oidc", "cas", "link", "none"] | None = told(
        "跳转方式，必须是插件支持的：ticket 一次性票据 · oidc · cas · link 普通链接 · none 不跳转",
        None,
    )
    limits: Limits | None = told("对部门后台的限流；省略时用插件清单里的", None)
    timeout: Duration | None = told("等部门多久，如 3s", None)
    fresh: Duration | None = told("卡片多久以内算最新，如 5min", None)
    keep: Duration | None = told("部门不可用时，上次数据最多展示多久，至多 7d", None)


class PluginOverride(PluginValues):
    """What differs in one environment; `false` takes a value away there."""

    settings: dict[str, str | int | bool] = told("插件设置的值", default_factory=dict)
    network: tuple[HostPort, ...] = told("允许访问的 主机:端口，替换插件清单里的", ())


class PluginEntry(PluginValues):
    """A service that a plugin offers."""

    plugin: str = told(
        "接入插件/服务，如 gjj/gjj",
        pattern=PLUGIN_ID_PATTERN[:-1] + "/" + SERVICE_ID_PATTERN[1:],
    )
    environments: dict[EnvironmentName, PluginOverride] = told(
        "各环境不同的值", default_factory=dict
    )


class DirectoryValues(Values):
    """What a directory entry may say besides."""

    functions: tuple[Function, ...] = told("办理项，可搜索", (), max_length=30)
    link: Address | None = told("办理网址，普通链接，不带身份", None)


class DirectoryOverride(DirectoryValues):
    """What differs in one environment; `false` takes a value away there."""


class DirectoryEntry(DirectoryValues):
    """A service without a plugin: its sheet, at most a link."""

    name: Text = told("服务名称")
    short: Text = told("短名称，卡片标题，中文至多 12 个字")
    summary: Text = told("一句话说明")
    owner: Word = told("主管部门，departments 里的代号")
    item_code: str | None = told("事项编码", None, max_length=40)
    sheet: Sheet = told("办事指南")
    environments: dict[EnvironmentName, DirectoryOverride] = told(
        "各环境不同的值", default_factory=dict
    )


Entries = Annotated[dict[ServiceRef, PluginEntry | DirectoryEntry], Field()]


class RegistryDocument(Block):
    """The registry: which services citizens see."""

    registry: Literal[1] = told("注册表格式的版本，写 1")
    city: CitySpec = told("城市")
    topics: tuple[TopicSpec, ...] = told("主题，按展示顺序", min_length=1)
    life_events: dict[Word, Text] = told("人生事件：代号 → 名称", default_factory=dict)
    departments: dict[Word, DepartmentSpec] = told(
        "部门：代号 → 部门，供目录条目引用", default_factory=dict
    )
    include: tuple[str, ...] = told("拆分出去的文件，相对本文件的路径，可用 * 通配", ())
    services: Entries = told(
        "条目：服务代号 → 条目。代号出现在网址里，发布后不要改", default_factory=dict
    )


class IncludedDocument(Block):
    """A file named by `include`: entries and departments only."""

    registry: Literal[1] = told("注册表格式的版本，写 1", 1)
    departments: dict[Word, DepartmentSpec] = told("部门", default_factory=dict)
    services: Entries = told("条目", default_factory=dict)

"""The JSON Schema of `service_registry.yaml`, so that editors complete, explain and check.

Committed as `gateway/registry/schema.json`; a test compares the two. Write it anew with
`python -m gateway.registry.schema`.
"""

from pathlib import Path
from typing import Any, Final

import orjson

from gateway.registry.document_model import RegistryDocument
from gateway.registry.drafting import CLEARABLE

FILE: Final = Path(__file__).with_name("schema.json")

_TITLES: Final = {
    "RegistryDocument": "服务注册表：市民在“城市服务”里看到哪些服务",
    "CitySpec": "本大厅属于哪座城市",
    "TopicSpec": "大厅里的一个主题；列表的顺序就是展示的顺序",
    "DepartmentSpec": "一个部门：目录条目用 owner 引用；有插件的条目以插件清单为准",
    "ShownSpec": "可见状态，从某一时刻起生效",
    "WindowSpec": "维护窗口：两个时刻之间（start、end），或每天两个钟点之间（daily_start、daily_end）",
    "HoursSpec": "网上服务的开放时间，以外显示“未开放”",
    "WaySpec": "别的办法：线上办不了时打哪个电话、去哪个大厅",
    "PluginEntry": "由接入插件提供的服务",
    "DirectoryEntry": "没有插件的服务：办事指南，至多一个链接",
    "PluginOverride": "某一个环境里不同的值；写 false 表示在这个环境里没有",
    "DirectoryOverride": "某一个环境里不同的值；写 false 表示在这个环境里没有",
    "Sheet": "办事指南",
    "Text": "中英文两种文字，都要写",
    "Function": "办理项：服务里的一件事，可搜索、有自己的网址",
    "Limits": "对部门后台的限流",
    "Visibility": "hidden 隐藏 · trial 试用 · gray 灰度 · published 发布 · suspended 暂停 · retired 下线",
}
_FIELDS: Final = {
    "Sheet": {
        "audience": "办理对象", "documents": "所需材料，一条一项", "fee": "收费",
        "promised": "承诺时限", "result": "办理结果", "place": "办理地点", "hours": "办理时间",
        "phone": "咨询电话，加引号",
    },
    "Text": {"zh": "中文", "en": "英文"},
    "Function": {
        "id": "办理项代号，出现在网址里", "name": "办理项名称", "aliases": "别名，搜索用",
        "item_code": "事项编码", "level": "所需实名等级，0–5", "sheet": "这一项自己的办事指南，可省略",
    },
    "Limits": {"concurrency": "同时最多几个请求（全部进程合计）", "per_minute": "每分钟最多几个请求"},
}  # fmt: skip


def schema() -> dict[str, Any]:
    """The schema as a value."""
    made = RegistryDocument.model_json_schema(by_alias=True)
    definitions: dict[str, Any] = made["$defs"]
    for name, part in [("RegistryDocument", made), *definitions.items()]:
        part.pop("title", None)
        if name in _TITLES:
            part["description"] = _TITLES[name]
        for key, field in part.get("properties", {}).items():
            field.pop("title", None)
            if key in _FIELDS.get(name, {}):
                field["description"] = _FIELDS[name][key]
    for name in ("PluginOverride", "DirectoryOverride"):
        properties = definitions[name]["properties"]
        for key in CLEARABLE.keys() & properties.keys():
            properties[key] = _or_false(properties[key])
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **made}


def _or_false(field: dict[str, Any]) -> dict[str, Any]:
    rest = {key: item for key, item in field.items() if key not in ("description", "default")}
    kept = {key: field[key] for key in ("description",) if key in field}
    return {**kept, "anyOf": [rest, {"const": False}]}


def schema_text() -> str:
    """The schema as the committed file holds it."""
    return orjson.dumps(schema(), option=orjson.OPT_INDENT_2).decode() + "\n"


if __name__ == "__main__":
    FILE.write_text(schema_text(), "utf-8")

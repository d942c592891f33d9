"""The rules a plugin is held to, in one table; `kit.judge` goes through it.

S stops a plugin from being published at any tier, E keeps it from its tier, W is shown and counted.
A tier is what the rules compute; nobody declares it. Nothing here can be exempted: all rules of
this release are of severity S.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final, Literal

from gateway.conformance.code import imports_purely, never_blocks
from gateway.conformance.dataflow import uses_declared_data
from gateway.conformance.egress import calls_declared_hosts
from gateway.conformance.finding import Finding
from gateway.conformance.folder import Folder
from gateway.conformance.names import everything_named_exists
from gateway.conformance.samples import samples_hold
from gateway.conformance.secrecy import holds_no_secret
from gateway.conformance.tidy import (
    contract_is_spoken,
    documents_fit,
    folder_is_tidy,
    one_kind,
)

Tier = Literal["bronze", "silver", "gold"]
Severity = Literal["S", "E", "W"]
Check = Callable[[Folder], Iterable[Finding]]
BRONZE: Final[Tier] = "bronze"


@dataclass(frozen=True, slots=True)
class Rule:
    """One promise that a plugin makes by being here, and the check that holds it to it."""

    id: str
    severity: Severity
    tier: Tier
    promise: str
    promise_zh: str
    check: Check
    runs: bool = False  # runs the plugin's samples or code, beside reading its files


# fmt: off
RULES: Final = (
    Rule("C01", "S", BRONZE, "is a folder named as its id, of files that we know",              "文件夹名就是插件编号，里面只有认识的文件",   folder_is_tidy),
    Rule("C02", "S", BRONZE, "says everything in documents that fit their schemas",             "所有清单都符合格式，没有重复和不认识的键",   documents_fit),
    Rule("C03", "S", BRONZE, "is a recipe or a module, never both",                             "声明式和代码二者只居其一",                   one_kind),
    Rule("C04", "S", BRONZE, "speaks a contract that this gateway speaks",                      "使用本网关支持的接入规范版本",               contract_is_spoken),
    Rule("C07", "S", BRONZE, "uses no personal datum that it does not declare and ask for",     "不使用没有声明、没有请市民同意的个人数据",   uses_declared_data),
    Rule("C08", "S", BRONZE, "calls only hosts that it declares, none of them this machine",    "只访问声明过的主机，其中没有本机和元数据地址", calls_declared_hosts),
    Rule("C09", "S", BRONZE, "names secrets and never writes them",                             "密钥只写名字，不写内容",                     holds_no_secret),
    Rule("C12", "S", BRONZE, "turns every recorded answer into exactly the declared card",      "每个样例都得出声明的那张卡片",               samples_hold, runs=True),
    Rule("C14", "S", BRONZE, "names nothing that is not there; every expression compiles",      "引用的名字都存在，表达式都能编译",           everything_named_exists),
    Rule("C17", "S", BRONZE, "never holds up the loop",                                         "不阻塞其他请求",                             never_blocks, runs=True),
    Rule("C18", "S", BRONZE, "imports the contract and the standard library, and does nothing by it", "只导入接入规范和标准库，导入时什么也不做", imports_purely, runs=True),
)
# fmt: on

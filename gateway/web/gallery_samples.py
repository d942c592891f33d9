"""Made-up cards for the gallery: one for each state, each template, and what can go wrong."""

from typing import Any, Final

from gateway.cards.state import Code
from gateway.contract.card import Card, Template
from gateway.web.fragments import Button, View, view_of_card
from gateway.words.loader import Language

TOPIC: Final = "grid"
_AS_OF: Final = "2026-11-25T10:32:00+08:00"
_WHEN: Final[dict[Language, str]] = {"zh": "11月25日 10:32", "en": "11-25 10:32"}
_BODIED: Final = (Code.READY, Code.IN_PROGRESS, Code.ACTION_REQUIRED, Code.DONE)
Pair = tuple[str, str]  # Chinese, English

_SAID: Final[dict[Code, tuple[Pair, Pair]]] = {  # message, button
    Code.RETIRED: (
        ("本服务已并入“社保卡服务”。", "This service is now part of “Social security card”."),
        ("去新服务", "Go there"),
    ),
    Code.SUSPENDED: (
        (
            "系统升级，暂停至另行通知；可到窗口办理。",
            "Suspended for an upgrade; counters are open.",
        ),
        ("拨打 12345", "Call 12345"),
    ),
    Code.MAINTENANCE: (
        ("正在维护，预计 11月26日 6:00 恢复。", "In maintenance until 26 Nov, 6:00."),
        ("拨打 12345", "Call 12345"),
    ),
    Code.CLOSED: (
        ("每年 9月1日 至 12月31日 办理。", "Open from 1 September to 31 December."),
        ("看办事指南", "Read the guide"),
    ),
    Code.UPGRADE_REQUIRED: (
        ("请把安澜观察更新到 3.2 版后再用。", "Please update the app to 3.2 first."),
        ("看办事指南", "Read the guide"),
    ),
    Code.OUT_OF_REGION: (
        ("由青溪县办理。", "Served by Qingxi County."),
        ("拨打 12345", "Call 12345"),
    ),
    Code.NOT_IN_RELEASE: (
        ("正在小范围试用，很快向所有人开放。", "On trial; open to everybody soon."),
        ("看办事指南", "Read the guide"),
    ),
    Code.NEEDS_LOGIN: (
        ("登录后显示您的余额和办理进度。", "Sign in to see your balance and progress."),
        ("登录", "Sign in"),
    ),
    Code.NEEDS_IDENTITY: (
        ("需要实名认证 2 级，刷脸即可完成。", "Needs identity level 2; a face check does it."),
        ("去认证", "Verify"),
    ),
    Code.NEEDS_PROXY_RIGHT: (
        ("只能由监护人代办，请监护人授权。", "Only a guardian can do this; ask for the right."),
        ("看办事指南", "Read the guide"),
    ),
    Code.NEEDS_CONSENT: (
        ("需要您同意提供姓名、身份证号。", "Needs your consent to pass on name and number."),
        ("查看并决定", "See and decide"),
    ),
    Code.PENDING: (("正在查询…", "Asking…"), ("再试一次", "Try again")),
    Code.UNAVAILABLE: (
        ("部门系统没有回应，请过几分钟再试。", "The department does not answer; try again soon."),
        ("再试一次", "Try again"),
    ),
    Code.EMPTY: (
        ("没有缴存记录。单位为您开户后就能看到。", "No account yet; your employer opens it."),
        ("看办事指南", "Read the guide"),
    ),
    Code.ACTION_REQUIRED: (
        ("请在 11月30日 前补交收入证明。", "Hand in proof of income by 30 November."),
        ("去补交", "Hand it in"),
    ),
    Code.IN_PROGRESS: (("正在办理，请等待。", "Being dealt with."), ("看进度", "See progress")),
    Code.DONE: (("已经办结。", "Finished."), ("看结果", "See the result")),
    Code.READY: (("", ""), ("去办理", "Open")),
}

# label, value in both languages
_FIGURE: Final = ((("账户余额", "Balance"), ("52,318.64 元", "¥52,318.64")),
                  (("月缴存额", "Monthly"), ("2,400.00 元", "¥2,400.00")),
                  (("缴至", "Paid until"), ("2026年10月", "Oct 2026")),
                  (("账户状态", "Account"), ("正常", "Normal")))  # fmt: skip
_BODIES: Final[dict[Template, dict[str, Any]]] = {
    Template.LAUNCH: {},
    Template.FIGURE: {"facts": _FIGURE},
    Template.LIST: {
        "facts": ((("名下不动产", "Properties"), ("2 处", "2")),),
        "items": (
            (("望江区临江路 ** 号", "** Linjiang Road"), ("住宅，89.5 平方米", "Flat, 89.5 m²"), ("", "")),
            (("城东区学府街 ** 号", "** Xuefu Street"), ("车位", "Parking space"), ("", "")),
        ),
    },
    Template.CASE: {
        "facts": ((("案件", "Case"), ("法律援助申请", "Legal aid")),),
        "progress": (("资料审查", "Documents"), ("安澜市法律援助中心", "Legal Aid Centre"), ("2026年11月30日", "30 Nov 2026")),
    },
    Template.APPOINTMENT: {
        "facts": (
            (("时间", "When"), ("11月28日 9:30", "28 Nov, 9:30")),
            (("地点", "Where"), ("市民中心 2 楼 6 号窗口", "Civic Centre, counter 6")),
        ),
    },
    Template.NOTICE: {
        "facts": (
            (("应缴水费", "To pay"), ("86.40 元", "¥86.40")),
            (("截止", "By"), ("2026年11月30日", "30 Nov 2026")),
        ),
    },
    Template.APPEAL: {
        "facts": ((("诉求", "Appeal"), ("楼道照明损坏", "Broken stair light")),),
        "progress": (("已转办", "Passed on"), ("望江区住建局", "District housing office"), ("2026年12月2日", "2 Dec 2026")),
    },
    Template.EVENT: {
        "items": (
            (("秋季大型招聘会", "Autumn job fair"), ("市体育馆", "City gymnasium"), ("11月29日", "29 Nov")),
            (("电工技能培训", "Electrician course"), ("市技师学院", "Technical college"), ("12月3日", "3 Dec")),
            (("青年创业讲座", "Talk on start-ups"), ("线上", "Online"), ("12月5日", "5 Dec")),
            (("家政服务专场", "Home services fair"), ("城东社区", "Chengdong"), ("12月8日", "8 Dec")),
        ),
    },
    Template.CREDENTIAL: {
        "facts": (
            (("证照", "Document"), ("居住证", "Residence permit")),
            (("号码", "Number"), ("0001***********0X", "0001***********0X")),
            (("有效期至", "Valid until"), ("2027年6月1日", "1 Jun 2027")),
        ),
    },
}  # fmt: skip


def states(language: Language) -> list[tuple[str, View]]:
    """One card in each of the eighteen states."""
    found = []
    for code in Code:
        if code in _BODIED:
            view = _with_body(
                Template.CASE if code != Code.READY else Template.FIGURE, code, language
            )
        else:
            view = _without_body(code, language)
        found.append((code.value, view))
    return found


def templates(language: Language) -> list[tuple[str, View]]:
    """The nine templates in each state that has a body, fresh and as a copy."""
    found = []
    for template in Template:
        found += [
            (f"{template} · {code}", _with_body(template, code, language)) for code in _BODIED
        ]
        copy = _with_body(template, Code.READY, language, copied=True)
        found.append((f"{template} · copy", copy))
    return found


def unusual(language: Language) -> list[tuple[str, View]]:
    """A card of a kind that we do not know, one whose texts are as long as may be, and badges."""
    base = _without_body(Code.READY, language)
    long = (
        "这是一段很长的文字用来看看会不会撑破卡片"
        if language == "zh"
        else "averylongwordwithout breaks"
    )
    return [
        ("unknown", _changed(base, fallback=_one(("余额 52,318.64 元，缴至 2026年10月", "Balance ¥52,318.64"), language))),
        ("long", _changed(_without_body(Code.UNAVAILABLE, language), title=long[:18], department=long * 2, message=long * 3, trace="3f9c1a77b20e4d15")),
        ("badges", _changed(_with_body(Template.FIGURE, Code.READY, language), badges=("trial", "new"))),
    ]  # fmt: skip


def _one(pair: Pair, language: Language) -> str:
    return pair[1] if language == "en" else pair[0]


def _changed(view: View, **values: Any) -> View:
    kept = {name: getattr(view, name) for name in View.__slots__}
    return View(**{**kept, **values})


def _button(code: Code, language: Language) -> tuple[Button, ...]:
    label = _one(_SAID[code][1], language)
    quiet = code in (Code.PENDING, Code.UNAVAILABLE, Code.CLOSED, Code.EMPTY)
    return (Button(label, "#main", posts=False, outside=False, quiet=quiet),)


def _without_body(code: Code, language: Language) -> View:
    return View(
        service=f"sample-{code.replace('_', '-')}",
        topic=TOPIC,
        title=_one(("公积金", "Provident fund"), language),
        department=_one(("安澜市住房公积金管理中心", "Anlan Provident Fund Centre"), language),
        code=code,
        message=_one(_SAID[code][0], language),
        link=False,
        trace="3f9c1a77b20e4d15" if code is Code.UNAVAILABLE else "",
        actions=_button(code, language),
    )


def _with_body(template: Template, code: Code, language: Language, *, copied: bool = False) -> View:
    message = _one(_SAID[code][0], language)
    return view_of_card(
        _document(template, code, language),
        code,
        message,
        when=_WHEN[language],
        copied=copied,
        actions=_button(code, language),
    )


def _document(template: Template, code: Code, language: Language) -> Card:
    body = _BODIES[template]
    facts = [
        {"name": f"f{at}", "label": _one(label, language), "value": _one(value, language)}
        for at, (label, value) in enumerate(body.get("facts", ()))
    ]
    items = [
        {
            key: _one(pair, language)
            for key, pair in zip(("title", "note", "when"), row, strict=True)
        }
        for row in body.get("items", ())
    ]
    progress = body.get("progress")
    return Card.model_validate(
        {
            "service": f"sample-{template}-{code}".replace("_", "-"),
            "language": "en" if language == "en" else "zh-Hans",
            "template": template,
            "header": {
                "title": _one(("办事卡片", "Sample card"), language),
                "department": _one(("安澜市政务服务局", "Anlan Services Bureau"), language),
            },
            "facts": facts,
            "items": items,
            "progress": {
                key: _one(pair, language)
                for key, pair in zip(("stage", "holder", "due_text"), progress, strict=True)
            }
            if progress and code is not Code.DONE
            else None,
            "as_of": _AS_OF,
            "speak": "…",
            "fallback_text": "…",
        }
    )

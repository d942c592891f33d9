"""What the departments know about the people before anybody does anything.

The control overrides single fields; dates that must lie ahead are given in days from today.
"""

from copy import deepcopy
from typing import Any, Final

from gateway.simulated.people import BY_ID, GJJ_ACCOUNTS, PROPERTY_TITLES, WATER_ACCOUNTS

Fields = dict[str, Any]


def _fund(balance: str, monthly: str, employer: str, **more: object) -> Fields:
    return {"balance": balance, "monthly": monthly, "employer": employer, "status": "01", **more}


def _loan(status: str, left: str, instalment: str, paid: int, total: int, days: int) -> Fields:
    return {
        "status": status,
        "left": left,
        "instalment": instalment,
        "paid": paid,
        "total": total,
        "days": days,
    }


_GJJ: Final[dict[str, Fields]] = {
    "li-wei": _fund("52340.18", "2480.00", "安澜市第三中学"),
    "wang-fang": _fund(
        "18766.40",
        "1960.00",
        "安澜晨光软件有限公司",
        loan=_loan("05", "318200.00", "2210.45", 38, 240, 9),
    ),
    "liu-yang": _fund(
        "120455.07",
        "3800.00",
        "安澜港务集团",
        loan=_loan("05", "86120.00", "3015.80", 171, 200, 9),
    ),
    "huang-jiamin": _fund("9320.00", "1480.00", "安澜远航贸易有限公司"),
    "long-jianing": _fund("31007.55", "1720.00", "安澜市䶮湖区图书馆"),
    "abla": _fund("27650.90", "1350.00", "安澜市地铁运营公司"),
    "wu-gang": _fund("6412.33", "0.00", "安澜市第二纺织厂（原）", status="02"),
    "zheng-hao": _fund(
        "2105.66",
        "2600.00",
        "安澜新材料研究院",
        loan=_loan("06", "652400.00", "4108.00", 51, 360, -12),
    ),
    "feng-xia": _fund("15300.00", "980.00", "安澜市惠民超市"),
    "ma-chao": _fund("402118.92", "5200.00", "安澜观澜置业有限公司"),
    "ouyang-ming": _fund("44870.10", "2150.00", "安澜市广播电视台", registered_name="欧阳鸣"),
}

_PLACES: Final = ("89.42", "101.30", "63.80", "142.07", "118.65", "76.21", "128.90")


def _rows(person: str) -> list[Fields]:
    here = BY_ID[person].address
    return [
        {
            "title": title,
            "place": here if n == 0 else f"安澜市望江区临江里{n}号商铺",
            "area": _PLACES[(len(person) + n) % len(_PLACES)],
            "right": "8" if person == "chen-yongfu" else "4",
            "sealed": n == 1,
        }
        for n, title in enumerate(PROPERTY_TITLES[person])
    ]


def _water(n: int, person: str) -> Fields:
    usage = 9 + (n * 5) % 17
    return {
        "amount": f"{usage * 3.2:.2f}",
        "usage": usage,
        "paid": n % 3 == 1 and person != "wu-gang",
        "days": -20 if person == "wu-gang" else 44,
    }


_LEGAL: Final[dict[str, list[Fields]]] = {
    "li-wei": [
        {"kind": "appointment", "title": "房屋买卖合同咨询", "status": "booked", "since": 2, "handler": "公共法律服务中心", "in_days": 3, "lawyer": "周律师"},
    ],
    "feng-xia": [
        {"kind": "legal_aid", "title": "工伤待遇纠纷", "status": "assigned", "since": 34, "handler": "城东法律援助站"},
        {"kind": "mediation", "title": "邻里漏水纠纷", "status": "mediating", "since": 12, "handler": "光明里人民调解委员会"},
        {"kind": "appointment", "title": "遗嘱公证咨询", "status": "booked", "since": 3, "handler": "公共法律服务中心", "in_days": 2, "lawyer": "周律师"},
    ],
    "abla": [
        {"kind": "notary", "title": "学历公证", "status": "closed", "since": 60, "handler": "安澜市江城公证处"},
    ],
    "zheng-hao": [
        {"kind": "legal_aid", "title": "借款合同纠纷", "status": "supplement", "since": 6, "handler": "䶮湖法律援助站", "what": "借款合同原件照片", "in_days": 4},
    ],
}  # fmt: skip

SEEDS: Final[dict[str, dict[str, Fields]]] = {
    "gjj": {person: {**fields, "account": GJJ_ACCOUNTS[person]} for person, fields in _GJJ.items()},
    "property": {person: {"rows": _rows(person)} for person in PROPERTY_TITLES},
    "water": {
        person: {**_water(n, person), "household": number}
        for n, (person, number) in enumerate(WATER_ACCOUNTS.items())
    },
    "legal": {person: {"cases": cases} for person, cases in _LEGAL.items()},
}


def seed(system: str, person: str) -> Fields:
    """A copy of what a department knows about somebody at first; empty if nothing."""
    return deepcopy(SEEDS.get(system, {}).get(person, {}))

"""The people of Anlan: invented citizens, department staff and admins.

Nothing here can belong to anybody: identity numbers have a right check digit and a region code
beginning 00 (no province has one), telephone numbers begin 100 (a block that no carrier assigns).
"""

from dataclasses import dataclass
from hashlib import sha256
from typing import Final, Literal

DocumentType = Literal["resident_id", "residence_permit_hmt"]
_WEIGHTS: Final = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)


def id_number(region: str, birth: str, serial: str) -> str:
    """An 18-digit number of GB 11643 with its check digit; region 6, birth 8, serial 3 digits."""
    body = region + birth + serial
    total = sum(int(digit) * weight for digit, weight in zip(body, _WEIGHTS, strict=True))
    return body + "10X98765432"[total % 11]


@dataclass(frozen=True, slots=True)
class Person:
    """One invented person, as the city identity platform knows her."""

    id: str
    name: str
    gender: Literal["男", "女"]
    id_number: str  # empty: known by telephone only
    phone: str
    address: str
    max_level: int  # the highest assurance that she can prove, 1-4
    note: str
    role: str = "citizen"
    document_type: DocumentType = "resident_id"
    suspended: bool = False
    guardian: str = ""  # id of the person who acts for her

    @property
    def birthdate(self) -> str:
        """ISO date, read from the identity number; empty where there is none."""
        born = self.id_number[6:14]
        return f"{born[:4]}-{born[4:6]}-{born[6:]}" if born else ""

    @property
    def sub(self) -> str:
        """What the identity platform calls her: stable, says nothing."""
        return "u" + sha256(f"anlan/{self.id}".encode()).hexdigest()[:24]


WANGJIANG, CHENGDONG, LONGHU, QINGXI, HMT = "000102", "000103", "000104", "000121", "008100"

# fmt: off
PEOPLE: Final[tuple[Person, ...]] = (
    Person("li-wei", "李伟", "男", id_number(WANGJIANG, "19880517", "013"), "10000000101", "安澜市望江区望江路18号3幢602室", 4, "38 岁，教师，公积金、房产、水费都有 · has everything"),
    Person("wang-fang", "王芳", "女", id_number(WANGJIANG, "19920308", "026"), "10000000102", "安澜市望江区望江路18号5幢301室", 4, "34 岁，公积金贷款还款中 · repays a housing loan"),
    Person("zhang-guiying", "张桂英", "女", id_number(CHENGDONG, "19460912", "048"), "10000000103", "安澜市城东区槐荫巷7号", 2, "80 岁，长辈，用长辈版 · elderly"),
    Person("chen-yongfu", "陈永福", "男", id_number(QINGXI, "19390125", "031"), "10000000104", "青溪县石桥镇陈家湾12号", 2, "87 岁，长辈，住青溪县 · elderly, lives in the county"),
    Person("liu-yutong", "刘雨桐", "女", id_number(CHENGDONG, "20130621", "062"), "10000000105", "安澜市城东区学府路66号2幢1101室", 2, "13 岁，监护人刘洋 · a minor, guardian 刘洋", guardian="liu-yang"),
    Person("liu-yang", "刘洋", "男", id_number(CHENGDONG, "19840430", "057"), "10000000106", "安澜市城东区学府路66号2幢1101室", 4, "42 岁，刘雨桐的监护人 · guardian of 刘雨桐"),
    Person("huang-jiamin", "黄嘉敏", "女", id_number(HMT, "19900715", "084"), "10000000107", "安澜市望江区滨江大道99号8幢2003室", 3, "港澳居民居住证 · residence permit for Hong Kong", document_type="residence_permit_hmt"),
    Person("zhao-lei", "赵磊", "男", id_number(WANGJIANG, "19950202", "075"), "10000000108", "安澜市望江区灯塔街3号", 3, "账号已冻结，登不进 · suspended at the platform", suspended=True),
    Person("sun-li", "孙丽", "女", "", "10000000109", "", 1, "只有手机号，未实名 · known by telephone only"),
    Person("long-jianing", "䶮家宁", "女", id_number(LONGHU, "19970818", "044"), "10000000110", "安澜市䶮湖区镕桥路2号1幢404室", 3, "姓氏生僻字 · a surname outside GBK"),
    Person("abla", "阿卜杜拉·买买提", "男", id_number(WANGJIANG, "19860606", "099"), "10000000111", "安澜市望江区丝路街21号", 3, "姓名带间隔号 · a long name with a dot"),
    Person("zhou-min", "周敏", "女", id_number(LONGHU, "20020110", "086"), "10000000112", "安澜市䶮湖区大学城北路5号", 3, "24 岁，没有公积金账户 · no fund account yet"),
    Person("wu-gang", "吴刚", "男", id_number(CHENGDONG, "19751203", "117"), "10000000113", "安澜市城东区纺织新村41号", 3, "公积金账户封存，水费欠缴 · sealed account, water arrears"),
    Person("zheng-hao", "郑浩", "男", id_number(LONGHU, "19830919", "133"), "10000000114", "安澜市䶮湖区听涛苑9幢1802室", 4, "公积金贷款逾期 · loan overdue"),
    Person("feng-xia", "冯霞", "女", id_number(CHENGDONG, "19790228", "142"), "10000000115", "安澜市城东区光明里23号", 3, "法律援助在办 · several legal cases"),
    Person("ma-chao", "马超", "男", id_number(LONGHU, "19700707", "159"), "10000000116", "安澜市䶮湖区观澜府1号", 4, "多处房产，一处被查封 · several properties, one sealed"),
    Person("ouyang-ming", "欧阳明", "男", id_number(WANGJIANG, "19930414", "179"), "10000000117", "安澜市望江区钟楼街60号", 3, "公积金登记姓名不一致 · registered there under another name"),
    Person("he-jing", "何静", "女", id_number(QINGXI, "19991111", "186"), "10000000118", "青溪县新城路8号", 3, "刚迁入，各处都没有记录 · just moved in, no records"),
    Person("staff-gjj", "钱卫东", "男", id_number(WANGJIANG, "19780303", "197"), "10000000201", "", 4, "公积金中心工作人员 · staff of the provident fund", role="staff"),
    Person("staff-legal", "孟晓岚", "女", id_number(WANGJIANG, "19850505", "206"), "10000000202", "", 4, "法律服务中心工作人员 · staff of legal services", role="staff"),
    Person("staff-property", "崔立新", "男", id_number(CHENGDONG, "19810808", "213"), "10000000203", "", 4, "不动产登记中心工作人员 · staff of real estate", role="staff"),
    Person("admin-viewer", "秦观月", "女", id_number(WANGJIANG, "19900101", "228"), "10000000301", "", 4, "管理员：查看 · admin, viewer", role="viewer"),
    Person("admin-editor", "许文编", "男", id_number(WANGJIANG, "19910202", "239"), "10000000302", "", 4, "管理员：编辑 · admin, editor", role="editor"),
    Person("admin-publisher", "唐发布", "女", id_number(WANGJIANG, "19870317", "248"), "10000000303", "", 4, "管理员：发布 · admin, publisher", role="publisher"),
    Person("admin-auditor", "严审之", "男", id_number(WANGJIANG, "19820422", "257"), "10000000304", "", 4, "管理员：审计 · admin, auditor", role="auditor"),
)
# fmt: on

BY_ID: Final = {person.id: person for person in PEOPLE}
BY_ID_NUMBER: Final = {person.id_number: person for person in PEOPLE if person.id_number}

GJJ_ACCOUNTS: Final = {
    "li-wei": "1001000000101",
    "wang-fang": "1001000000102",
    "liu-yang": "1001000000106",
    "huang-jiamin": "1001000000107",
    "long-jianing": "1001000000110",
    "abla": "1001000000111",
    "wu-gang": "1001000000113",
    "zheng-hao": "1001000000114",
    "feng-xia": "1001000000115",
    "ma-chao": "1001000000116",
    "ouyang-ming": "1001000000117",
}

WATER_ACCOUNTS: Final = {
    "li-wei": "10802001",
    "wang-fang": "10802002",
    "zhang-guiying": "10802003",
    "liu-yang": "10802006",
    "huang-jiamin": "10802007",
    "long-jianing": "10802010",
    "abla": "10802011",
    "wu-gang": "10802013",
    "zheng-hao": "10802014",
    "feng-xia": "10802015",
    "ma-chao": "10802016",
}

PROPERTY_TITLES: Final = {
    "li-wei": ("安(2019)安澜市不动产权第0012345号",),
    "wang-fang": ("安(2021)安澜市不动产权第0033871号",),
    "zhang-guiying": ("安房权证城东字第000731号",),
    "chen-yongfu": ("安(2017)青溪县不动产权第0000412号",),
    "liu-yang": ("安(2018)安澜市不动产权第0009066号",),
    "long-jianing": ("安(2024)安澜市不动产权第0071204号",),
    "zheng-hao": ("安(2020)安澜市不动产权第0025518号",),
    "ma-chao": (
        "安(2012)安澜市不动产权第0001188号",
        "安(2016)安澜市不动产权第0007702号",
        "安(2022)安澜市不动产权第0040316号",
    ),
}


def _personal_values() -> tuple[str, ...]:
    found: list[str] = []
    for one in PEOPLE:
        found += [one.name, one.id_number, one.phone, one.address]
    found += [*GJJ_ACCOUNTS.values(), *WATER_ACCOUNTS.values()]
    for titles in PROPERTY_TITLES.values():
        found += titles
    return tuple(dict.fromkeys(value for value in found if value))


PERSONAL_VALUES: Final = _personal_values()
"""Every personal value of the test people: what a leak scanner searches for."""

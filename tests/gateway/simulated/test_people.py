"""The people of the city can belong to nobody, and all their values are listed."""

import orjson

from gateway.simulated import people
from gateway.simulated.keys import DEPARTMENTS, department_key, public_keys
from gateway.simulated.people import PEOPLE, PERSONAL_VALUES
from gateway.simulated.site import HERE
from gateway.simulated.soap import envelope


def test_identity_numbers_are_invented_and_well_formed() -> None:
    """Region 00, a right check digit (ISO 7064 MOD 11-2), nobody twice."""
    numbers = [one.id_number for one in PEOPLE if one.id_number]

    assert all(number.startswith("00") and len(number) == 18 for number in numbers)
    assert len(set(numbers)) == len(numbers)
    for number in numbers:
        total = sum(
            (10 if digit == "X" else int(digit)) * pow(2, 17 - place, 11)
            for place, digit in enumerate(number)
        )
        assert total % 11 == 1, number
        assert (int(number[16]) % 2 == 1) == (
            next(one for one in PEOPLE if one.id_number == number).gender == "男"
        )


def test_telephones_come_from_an_unassigned_block() -> None:
    """All begin 100 and have eleven digits."""
    assert all(len(one.phone) == 11 and one.phone.startswith("100") for one in PEOPLE)


def test_the_cast_is_complete() -> None:
    """Eighteen citizens, of whom the special ones are there, staff and four kinds of admin."""
    citizens = [one for one in PEOPLE if one.role == "citizen"]

    assert len(citizens) == 18
    assert sum(one.birthdate < "1950" for one in citizens if one.birthdate) == 2
    assert sum(bool(one.guardian) for one in citizens) == 1
    assert sum(one.document_type == "residence_permit_hmt" for one in citizens) == 1
    assert sum(one.suspended for one in citizens) == 1
    assert sum(not one.id_number for one in citizens) == 1
    assert {"viewer", "editor", "publisher", "auditor", "staff"} <= {one.role for one in PEOPLE}


def test_every_personal_value_is_listed_once() -> None:
    """Names, numbers, telephones, addresses and account numbers, for a leak scanner."""
    for one in PEOPLE:
        assert {one.name, one.phone} <= set(PERSONAL_VALUES)
    assert people.GJJ_ACCOUNTS["li-wei"] in PERSONAL_VALUES
    assert people.PROPERTY_TITLES["ma-chao"][2] in PERSONAL_VALUES
    assert len(set(PERSONAL_VALUES)) == len(PERSONAL_VALUES)
    assert all(len(value) > 1 for value in PERSONAL_VALUES)


def test_public_keys_are_those_of_the_departments() -> None:
    """The committed file holds the public halves, and nothing private."""
    kept = orjson.loads((HERE / "public_keys.json").read_bytes())

    assert kept == public_keys()
    assert set(kept) == set(DEPARTMENTS)
    assert "d" not in kept["gjj"]["keys"][0]
    assert department_key("gjj").kid == "gjj-demo-1"


def test_the_soap_answer_holds_characters_outside_gbk() -> None:
    """It is labelled GBK and cannot be decoded as such: readers must take GB18030."""
    raw = envelope("<result>䶮</result>")

    assert "䶮" in raw.decode("gb18030")
    try:
        told = raw.decode("gbk")
    except UnicodeDecodeError:
        told = ""
    assert "䶮" not in told

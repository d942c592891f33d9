"""What a citizen likes is sealed under her own key and read by nobody else."""

import pytest
from sqlalchemy import select, update

from gateway.clock import OffsetClock
from gateway.contract.ids import CitizenId
from gateway.errors import Invalid, NotFound
from gateway.sso.preferences import Preferences
from gateway.store.ledger import Ledger
from gateway.store.sealing import Keys
from gateway.store.tables import audit, preference
from gateway.store.tables import citizen as citizens
from tests.gateway.sso.offices import somebody, trail


@pytest.fixture
def preferences(ledger: Ledger, keys: Keys, clock: OffsetClock) -> Preferences:
    """Preferences over a fresh ledger."""
    return Preferences(ledger=ledger, keys=keys, clock=clock)


async def test_what_is_written_is_read(
    preferences: Preferences, ledger: Ledger, keys: Keys
) -> None:
    """Any JSON value, the last one written; nothing said is None."""
    her = (await somebody(ledger, keys)).id
    assert await preferences.read(her, "favourites") is None
    await preferences.write(her, "favourites", ["gjj"])
    await preferences.write(her, "favourites", ["gjj", "legal"])
    assert await preferences.read(her, "favourites") == ["gjj", "legal"]


async def test_the_ledger_holds_no_readable_preference(
    preferences: Preferences, ledger: Ledger, keys: Keys
) -> None:
    """What she uses says who she is: it stands sealed, for this citizen and name only."""
    her, other = (await somebody(ledger, keys)).id, (await somebody(ledger, keys, "c2")).id
    await preferences.write(her, "recents", ["legal"])
    await preferences.write(other, "recents", ["gjj"])
    sealed = await ledger.read(
        lambda c: c.execute(select(preference.c.sealed).where(preference.c.citizen == her)).scalar()
    )
    assert b"legal" not in sealed

    await ledger.write(
        lambda c: c.execute(
            update(preference).where(preference.c.citizen == other).values(sealed=sealed)
        )
    )
    assert await preferences.read(other, "recents") is None


async def test_an_erased_citizen_has_no_preferences(
    preferences: Preferences, ledger: Ledger, keys: Keys
) -> None:
    """With her key gone, what was sealed under it is gone."""
    her = (await somebody(ledger, keys)).id
    await preferences.write(her, "recents", ["legal"])
    await ledger.write(lambda c: c.execute(update(citizens).values(dek=b"")))

    assert await preferences.read(her, "recents") is None


async def test_a_changed_look_is_audited_by_names_only(
    preferences: Preferences, ledger: Ledger, keys: Keys
) -> None:
    """Which settings changed, not to what; the same again is no event; favourites are none."""
    her = (await somebody(ledger, keys)).id
    await preferences.write(her, "look", {"size": 3, "region": "000102"})
    await preferences.write(her, "look", {"size": 3, "region": "000102"})
    await preferences.write(her, "look", {"size": 4, "region": "000102"})
    await preferences.write(her, "favourites", ["gjj"])

    rows = await ledger.read(lambda c: c.execute(select(audit.c.json)).scalars().all())
    assert await trail(ledger) == ["display.changed"] * 2
    assert '"settings":["size"]' in rows[1]
    assert "000102" not in "".join(rows)


async def test_a_remembered_value_is_used_only_where_it_may_be(
    preferences: Preferences, ledger: Ledger, keys: Keys, clock: OffsetClock
) -> None:
    """Pages may see a look of a minute ago; who asks without age sees the ledger."""
    her = (await somebody(ledger, keys)).id
    elsewhere = Preferences(ledger=ledger, keys=keys, clock=clock)
    assert await preferences.read(her, "look", age=60) is None
    await elsewhere.write(her, "look", {"size": 2})

    assert await preferences.read(her, "look", age=60) is None
    assert await preferences.read(her, "look") == {"size": 2}
    assert await preferences.read(her, "look", age=60) == {"size": 2}


async def test_too_much_and_nobody_are_refused(
    preferences: Preferences, ledger: Ledger, keys: Keys
) -> None:
    """A preference is small, and belongs to somebody."""
    her = (await somebody(ledger, keys)).id
    with pytest.raises(Invalid):
        await preferences.write(her, "recents", ["x" * 9000])
    with pytest.raises(NotFound):
        await preferences.write(CitizenId("nobody"), "recents", [])

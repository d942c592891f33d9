"""Jobs and training: a public feed, one card for everybody."""

from gateway.hosting.outcome import Answered, Failed, Reason
from tests.plugins.conftest import Town


async def test_events_soonest_first_without_any_person(town: Town) -> None:
    """Nobody's datum is needed; times have an offset."""
    outcome = await town.card("jobs", "events")
    assert isinstance(outcome, Answered), outcome
    rows = outcome.answer.items
    assert len(rows) == 6
    starts = [str(row["starts"]) for row in rows]
    assert starts == sorted(starts)
    assert all(start.endswith("+08:00") for start in starts)
    assert {row["kind"] for row in rows} <= {"招聘会", "培训"}


async def test_a_page_instead_of_the_feed_is_the_owners(town: Town) -> None:
    """HTTP 200 with a web page is a broken promise."""
    await town.control("fault", system="jobs", fault="200-with-error")
    outcome = await town.card("jobs", "events")
    assert isinstance(outcome, Failed)
    assert outcome.reason is Reason.CONTRACT

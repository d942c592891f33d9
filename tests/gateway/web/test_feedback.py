"""报告问题: one field, without sign-in and without scripts; accepted once."""

import re

from gateway.cases.feedback import Report
from tests.gateway.web.front import Front


def fields(page: str) -> dict[str, str]:
    """The hidden fields of the page's own form."""
    form = re.search(r'<form class="card stack".*?</form>', page, re.DOTALL)
    assert form
    return dict(re.findall(r'type="hidden" name="([^"]+)" value="([^"]*)"', form[0]))


async def kept(front: Front, text: str) -> list[Report]:
    """The reports with this text."""
    return [report for report in await front.parts.feedback.recent() if report.text == text]


async def test_signed_out_and_without_scripts_it_is_kept_once(front: Front) -> None:
    """Service and trace are filled in; sent twice, it has one number and is there once."""
    async with front.browser() as browser:
        page = (await browser.get("/feedback?service=gjj&trace=abcdef0123456789")).text
        hidden = fields(page)
        assert (hidden["service"], hidden["trace"]) == ("gjj", "abcdef0123456789")
        assert "住房公积金" in page
        data = {**hidden, "text": "余额好像不对"}
        first = await browser.post("/feedback", data=data)
        again = await browser.post("/feedback", data=data)
    assert first.status_code == again.status_code == 200
    number = re.search(r'class="number">(AL\d{15})<', first.text)
    assert number
    assert number[1] in again.text
    (report,) = await kept(front, "余额好像不对")
    assert (report.service, report.trace, report.number) == ("gjj", "abcdef0123456789", number[1])


async def test_nothing_written_comes_back_with_what_there_is(front: Front) -> None:
    """422, the sentence at the field, the same key, the text kept."""
    async with front.browser() as browser:
        hidden = fields((await browser.get("/feedback")).text)
        empty = await browser.post("/feedback", data={**hidden, "text": "  "})
        long = await browser.post("/feedback", data={**hidden, "text": "长" * 1001})
    for answer in (empty, long):
        assert answer.status_code == 422
        assert 'aria-invalid="true"' in answer.text
        assert fields(answer.text)["key"] == hidden["key"]
    assert "长" * 1001 in long.text
    assert await kept(front, "长" * 1001) == []


async def test_a_key_of_ones_own_is_replaced(front: Front) -> None:
    """What cannot be a key does not go in circles: the form comes back with a good one."""
    async with front.browser() as browser:
        hidden = fields((await browser.get("/feedback")).text)
        answer = await browser.post("/feedback", data={**hidden, "key": "x", "text": "短钥匙"})
    assert answer.status_code == 422
    assert len(fields(answer.text)["key"]) >= 16


async def test_what_is_made_up_is_not_kept(front: Front) -> None:
    """An unknown or hidden service and an odd trace are left out; the report is taken all the same."""
    async with front.browser() as browser:
        page = (await browser.get("/feedback?service=nothing&trace=%22%3E")).text
        hidden = fields(page)
        assert "service" not in hidden
        assert "trace" not in hidden
        data = {**hidden, "service": "nothing", "trace": "<x>", "text": "编的"}
        await browser.post("/feedback", data=data)
    (report,) = await kept(front, "编的")
    assert (report.service, report.trace) == ("", "")

"""`/dev/cards` shows everything that a card can be, and `plugin preview` needs nothing of the server."""

import re
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from gateway.cards.state import Code
from gateway.contract.card import Template
from gateway.web import gallery
from gateway.web.gallery_samples import states
from gateway.words.loader import LANGUAGES
from tests.gateway.web.front import Front, open_front

STORES = ("redis", "sqlalchemy", "authlib", "prometheus_client", "gateway.store", "gateway.sso")


@pytest.mark.parametrize("mode", gallery.MODES)
@pytest.mark.parametrize("language", LANGUAGES)
async def test_it_covers_every_state_and_template(front: Front, mode: str, language: str) -> None:
    """Eighteen states, nine templates in each state with a body, in every mode and language."""
    async with front.browser() as browser:
        answer = await browser.get(f"/dev/cards?mode={mode}&lang={language}")
    assert answer.status_code == 200
    text = answer.text
    assert set(re.findall(r'data-state="(\w+)"', text)) == {code.value for code in Code}
    for template in Template:
        for code in (Code.READY, Code.IN_PROGRESS, Code.ACTION_REQUIRED, Code.DONE):
            assert f'data-name="{template} · {code}"' in text
        assert f'data-name="{template} · copy"' in text
    assert 'data-name="unknown"' in text
    assert f'data-mode="{"elder" if "elder" in mode else "standard"}"' in text
    assert ('data-contrast="high"' in text) == ("high" in mode)
    ids = re.findall(r'\sid="([^"]+)"', text)
    assert sorted(ids) == sorted(set(ids))


def test_every_card_that_keeps_somebody_out_says_why() -> None:
    """No state without a sentence or facts, and a button with a verb."""
    for language in LANGUAGES:
        for name, view in states(language):
            assert view.message or view.facts, name
            assert view.actions, name


async def test_a_plugins_samples_are_shown_by_themselves() -> None:
    """The preview's application: samples first, asked anew at each view."""
    shown = [gallery.Sample("mine", {lang: states(lang)[0][1] for lang in LANGUAGES})]
    app = gallery.gallery_app(lambda: shown)
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app), base_url="http://localhost"
    ) as browser:
        first = await browser.get("/")
        shown.append(gallery.Sample("second", shown[0].views))
        again = await browser.get("/?mode=elder&lang=en")
        sheet = await browser.get(re.findall(r'href="(/static/[^"]+css)"', first.text)[0])
        none = await browser.get("/static/none.css")
    assert 'data-name="mine"' in first.text
    assert 'data-name="second"' not in first.text
    assert 'data-name="second"' in again.text
    assert 'data-mode="elder"' in again.text
    assert "default-src 'none'" in first.headers["content-security-policy"]
    assert (sheet.status_code, none.status_code) == (200, 404)


def test_drawing_it_loads_no_store() -> None:
    """A department's laptop has none of the server's packages."""
    code = f"import sys, gateway.web.gallery; print([m for m in {STORES!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


async def test_production_has_no_gallery(tmp_path: Path, valkey_url: str) -> None:
    """There it is a page that does not exist."""
    async with (
        open_front(
            tmp_path,
            valkey_url,
            profile="production",
            public_url="https://city.example",
            kek_file=tmp_path / "kek",
        ) as real,
        httpx.AsyncClient(
            transport=httpx.ASGITransport(real.app), base_url="https://city.example"
        ) as browser,
    ):
        assert (await browser.get("/dev/cards")).status_code == 404

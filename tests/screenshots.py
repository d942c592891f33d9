"""`make screenshots`: the README's three pictures, taken of a running city with a phone."""

import tempfile
from pathlib import Path

from playwright.sync_api import expect

from gateway.simulated.people import BY_ID
from tests import browsing, city
from tests.browsing import PATIENCE, Traveller
from tests.city import City

PICTURES = Path(__file__).resolve().parents[1] / "gateway" / "handbook" / "pictures"
LI_WEI = BY_ID["li-wei"]
PERSONAL = ("gjj", "property", "legal", "water")
LARGEST = 150_000  # bytes
STALE = 301.0  # a card's fresh window and a second


def main() -> None:
    """Take all three."""
    PICTURES.mkdir(exist_ok=True)
    opened = browsing.launch()
    try:
        with tempfile.TemporaryDirectory() as folder, city.running(Path(folder)) as running:
            running.control("fault", system="property", fault="500")
            agree(running)
            phone = Traveller.new(opened.browser, scale=1.5)  # sharp enough, and small
            sign_in(running, phone)
            down(running, phone)
            running.reset()
            running.move_clock(STALE)
            hall(running, phone)  # asks the two again
            take(running, phone, "hall")
            phone.go(f"{running.gateway}/me/display")
            phone.tap("切换到长辈版", within="main", role="button")
            take(running, phone, "elder")
            phone.close()
    finally:
        opened.close()


def agree(running: City) -> None:
    """李伟 has agreed to everything already, as on a usual day."""
    person = running.person()
    person.sign_in(LI_WEI.id)
    for service in PERSONAL:
        person.agree(service)


def sign_in(running: City, phone: Traveller) -> None:
    """By the identity platform's own page."""
    phone.go(f"{running.gateway}/sign-in?next=/")
    phone.page.locator("label.person", has_text=LI_WEI.name).click()
    phone.tap("登录", within="main", role="button")


def down(running: City, phone: Traveller) -> None:
    """One that died before it ever answered, and one that left its last figures."""
    hall(running, phone)
    running.control("fault", system="gjj", fault="500")
    running.move_clock(STALE)
    take(running, phone, "down")


def hall(running: City, phone: Traveller) -> None:
    """The hall as it stands, every card filled in."""
    phone.go(f"{running.gateway}/")
    expect(phone.page.locator('[data-state="pending"]')).to_have_count(0, timeout=PATIENCE)
    phone.page.wait_for_load_state("networkidle")


def take(running: City, phone: Traveller, name: str) -> None:
    """A picture of it."""
    hall(running, phone)
    path = PICTURES / f"{name}.png"
    phone.page.screenshot(path=path)
    assert path.stat().st_size <= LARGEST, f"{path} is too large for a README"


if __name__ == "__main__":
    main()

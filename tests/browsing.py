"""A real browser in somebody's hand: Debian's Chromium, headless, through playwright."""

from dataclasses import dataclass, field
from urllib.parse import unquote

from playwright.sync_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Page,
    Playwright,
    sync_playwright,
)

CHROMIUM = "/usr/bin/chromium"
ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
PATIENCE = 20_000  # ms: a busy machine, not a promise


@dataclass(frozen=True)
class Opened:
    """A browser and what drives it."""

    playwright: Playwright
    browser: Browser

    def close(self) -> None:
        """End both."""
        self.browser.close()
        self.playwright.stop()


def launch() -> Opened:
    """Start the browser; everything with it happens in the thread that called this."""
    playwright = sync_playwright().start()
    try:
        return Opened(
            playwright, playwright.chromium.launch(executable_path=CHROMIUM, args=list(ARGUMENTS))
        )
    except BaseException:
        playwright.stop()
        raise


@dataclass
class Traveller:
    """One person's phone: its page, every address that it asked for, every complaint it made."""

    context: BrowserContext
    page: Page
    addresses: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    @classmethod
    def new(cls, browser: Browser, *, scale: float = 1, scripts: bool = True) -> "Traveller":
        """A new phone with nothing in it."""
        context = browser.new_context(
            viewport={"width": 390, "height": 844},
            device_scale_factor=scale,
            locale="zh-CN",
            timezone_id="Asia/Shanghai",
            java_script_enabled=scripts,
            has_touch=True,
        )
        context.set_default_timeout(PATIENCE)
        one = cls(context, context.new_page())
        context.on("request", lambda request: one.addresses.append(request.url))
        context.on("console", one.heard)
        context.on("weberror", lambda error: one.complaints.append(f"script: {error.error}"))
        return one

    def heard(self, message: ConsoleMessage) -> None:
        """Keep what the browser complains of."""
        if message.type in ("error", "warning"):
            self.complaints.append(f"{message.type}: {message.text}")

    def go(self, address: str) -> None:
        """Type an address."""
        self.page.goto(address)

    def tap(self, name: str, *, within: str = "body", role: str | None = None) -> None:
        """Tap a link or button by the words on it and wait for the page that comes."""
        place = self.page.locator(within)
        wanted = place.get_by_role("link", name=name, exact=True)
        if role != "link":
            button = place.get_by_role("button", name=name, exact=True)
            wanted = button if role == "button" else wanted.or_(button)
        with self.page.expect_navigation(wait_until="load"):
            wanted.first.click()

    def visited(self) -> str:
        """All addresses asked for, as they are and decoded: for searching in."""
        return "\n".join(f"{one}\n{unquote(one)}" for one in self.addresses)

    def close(self) -> None:
        """Put it away."""
        self.context.close()

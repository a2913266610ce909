"""The dashboard in a real Chromium, with a note of everything that must not happen on it."""

from collections.abc import Iterator
from contextlib import contextmanager
from re import Pattern
from typing import Any
from urllib.parse import urlsplit

from playwright.sync_api import Browser, Locator, Page, expect

PATIENCE_MS = 30_000
"""What a slow machine may take; conditions are waited for, and are met much sooner."""
NUMBERS = "#numbers"

_WATCH_POLICY = """
window.violations = [];
addEventListener("securitypolicyviolation", ({ violatedDirective, blockedURI }) => {
  window.violations.push(`${violatedDirective} ${blockedURI}`);
});
"""
_CONTRASTS = """(pairs) => {
  const probe = document.body.appendChild(document.createElement("span"));
  const channels = (name) => {
    probe.style.color = `var(${name})`;
    return getComputedStyle(probe).color.match(/[\\d.]+/g).slice(0, 3).map((value) => value / 255);
  };
  const light = (name) => {
    const [r, g, b] = channels(name).map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  return pairs.map(([ink, ground]) => {
    const [dark, bright] = [light(ink), light(ground)].sort((a, b) => a - b);
    return [`${ink} on ${ground}`, (bright + 0.05) / (dark + 0.05)];
  });
}"""
_DRAWN_PIXELS = """(selector) => {
  const canvas = document.querySelector(`${selector} canvas`);
  if (!canvas) return 0;
  const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  return data.filter((value, index) => index % 4 === 3 && value > 0).length;
}"""


class DashboardPage:
    """One tab. Waits with `expect`: `wait_for_function` evaluates text, which the page's policy forbids."""

    def __init__(self, page: Page, address: str) -> None:
        self.page = page
        self.address = f"{address}/dashboard"
        self.host = urlsplit(address).netloc
        self.asked: list[str] = []
        self.errors: list[str] = []
        self.complaints: list[str] = []
        page.set_default_timeout(PATIENCE_MS)
        page.add_init_script(_WATCH_POLICY)
        page.on("request", lambda request: self.asked.append(request.url))
        page.on("websocket", lambda socket: self.asked.append(socket.url))
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("console", lambda message: message.type == "error" and self.complaints.append(message.text))

    def open(self) -> "DashboardPage":
        self.page.goto(self.address)
        return self

    def sign_in(self, key: str) -> "DashboardPage":
        self.page.get_by_label("API key").fill(key)
        self.page.get_by_role("button", name="Sign in").click()
        self.sees(self.page.locator(NUMBERS))
        return self

    def is_live(self) -> "DashboardPage":
        self.says("#state-word", "Live")
        return self

    def sees(self, what: Locator) -> None:
        expect(what).to_be_visible(timeout=PATIENCE_MS)

    def says(self, selector: str, words: str | Pattern[str]) -> None:
        expect(self.page.locator(selector)).to_contain_text(words, timeout=PATIENCE_MS)

    def choose_range(self, label: str) -> None:
        self.page.locator("#range label", has_text=label).click()

    def drawn_pixels(self, chart: str) -> int:
        return int(self.page.evaluate(_DRAWN_PIXELS, f"#chart-{chart}"))

    def violations(self) -> list[str]:
        found: list[str] = self.page.evaluate("window.violations")
        return found

    def contrasts(self, pairs: list[tuple[str, str]]) -> dict[str, float]:
        return dict(self.page.evaluate(_CONTRASTS, pairs))

    def overflow_px(self) -> int:
        """By how much the page is wider than its window."""
        return int(self.page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth"))

    def focused(self) -> str:
        """The id of the element that has the focus."""
        return str(self.page.evaluate("document.activeElement.id"))

    def assert_quiet(self) -> None:
        """As `assert_sound`, and Chromium had nothing to complain of, such as a call that was not answered."""
        self.assert_sound()
        assert self.complaints == []

    def assert_sound(self) -> None:
        """It asked its own host only, kept the policy, and no script failed."""
        assert {urlsplit(url).netloc for url in self.asked if not url.startswith("data:")} == {self.host}
        assert self.violations() == []
        assert self.errors == []


@contextmanager
def dashboard(browser: Browser, address: str, **context: Any) -> Iterator[DashboardPage]:
    """A tab with a storage of its own; `context` are playwright's options, such as viewport and colour_scheme."""
    tab = browser.new_context(**context)
    try:
        yield DashboardPage(tab.new_page(), address)
    finally:
        tab.close()

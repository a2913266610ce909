"""What a person sees at /dashboard, in a real Chromium on a real `weir up` with load, faults and keys of all kinds."""

import os
import re
import shutil
import signal
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, expect, sync_playwright

from tests.browser.dashboard_page import NUMBERS, PATIENCE_MS, DashboardPage, dashboard
from tests.browser.enrichers import REFUSED_TYPE
from tests.waiting import eventually
from tests.weir_up import WeirUp

MARKUP = "<script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\">"
PHONE = {"viewport": {"width": 320, "height": 640}, "device_scale_factor": 2, "has_touch": True, "is_mobile": True}
INKS = ("--text", "--quiet", "--accent", "--good", "--warn", "--bad", "--violet", "--pink")
UNNAMED = """() => {
    const title = (part) => document.getElementById(part.getAttribute("aria-labelledby"));
    return [
        ...[...document.querySelectorAll("#numbers table")].filter((table) => !table.caption),
        ...[...document.querySelectorAll("section")].filter((part) => !title(part)),
        ...[...document.querySelectorAll("input, select")].filter((field) => !field.labels.length),
    ].map((element) => element.outerHTML);
}"""
CHARTS = ("throughput", "latency", "lag")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Of the module only: while playwright runs, no other event loop can."""
    program = shutil.which("chromium")
    if program is None:
        missing = "no chromium on the PATH: apt-get install chromium"
        if os.environ.get("CI") == "true":
            pytest.fail(missing)
        pytest.skip(missing)
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield started
        started.close()


@pytest.fixture(scope="module")
def weir(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WeirUp]:
    settings = {"WEIR_ENRICHERS": "tests.browser.enrichers:enrich"}
    up = WeirUp(tmp_path_factory.mktemp("dashboard") / "data", settings=settings)
    try:
        up.start()
        yield up
    finally:
        up.close()


@pytest.fixture(scope="module")
def shop_key(weir: WeirUp) -> str:
    """A key that reads the events of one client."""
    return make_key(weir, "shop", "read")


def make_key(weir: WeirUp, client_id: str, *scopes: str) -> str:
    chosen = [part for scope in scopes for part in ("--scope", scope)]
    key: str = weir.weir("keys", "create", "--client-id", client_id, "--rate-limit", "0", *chosen)["key"]
    return key


_made = iter(range(10**6))


def event(event_type: str = "order.placed", payload: dict[str, Any] | None = None) -> dict[str, Any]:
    return {"event_id": f"e-{next(_made)}", "event_type": event_type, "payload": payload or {"n": 1}}


@pytest.fixture
def page(browser: Browser, weir: WeirUp) -> Iterator[DashboardPage]:
    with dashboard(browser, weir.analytics) as opened:
        yield opened.open()


@pytest.fixture
def live(page: DashboardPage, weir: WeirUp) -> DashboardPage:
    """A page of an admin, live."""
    return page.sign_in(weir.key).is_live()


@pytest.fixture(scope="module")
def watching(browser: Browser, weir: WeirUp) -> Iterator[DashboardPage]:
    """An admin's page that stays open: for tests that leave it as they found it. It must have been sound all along."""
    with dashboard(browser, weir.analytics) as opened:
        yield opened.open().sign_in(weir.key).is_live()
        opened.assert_sound()


def test_a_new_installation_shows_how_to_post_a_first_event(live: DashboardPage, weir: WeirUp) -> None:
    live.says("#first-curl", f"curl -X POST {weir.gateway}/api/v1/events/ingest")
    assert weir.post(event("hello.world"), wait_seconds=10).status_code == 200
    expect(live.page.locator("#welcome")).to_be_hidden(timeout=PATIENCE_MS)
    live.says("#types", "hello.world")


def test_the_page_asks_nobody_else_for_anything_and_keeps_its_policy(live: DashboardPage, weir: WeirUp) -> None:
    weir.post(event(), wait_seconds=10)
    live.says("#types", "order.placed")
    live.page.get_by_label("Which calls").select_option("gateway")
    live.says("#audit", "/api/v1/events/batch")
    for label in ("1 h", "24 h", "30 d", "15 min"):
        live.choose_range(label)
    live.says("#types-range", "15 min")
    live.assert_quiet()


def test_the_key_is_in_no_address_and_no_log(page: DashboardPage, weir: WeirUp) -> None:
    page.sign_in(weir.key)
    page.says("#audit", "/api/v1/analytics")
    secret = weir.key.rpartition("_")[2]
    assert all(secret not in url for url in [page.page.url, *page.asked])
    assert all(secret not in log.read_text() for log in weir.data_dir.glob("logs/*.log"))
    page.page.get_by_role("button", name="Sign out").click()
    page.sees(page.page.get_by_label("API key"))
    kept = page.page.evaluate("JSON.stringify([{...sessionStorage}, {...localStorage}]) + document.cookie")
    assert secret not in kept


def test_a_posted_event_shows_within_seconds_in_the_counts_and_in_the_tail(
    watching: DashboardPage, weir: WeirUp
) -> None:
    posted = event("parcel.delivered", {"street": "Mühlweg"})
    watching.says("#tail-state", "following")
    assert weir.post(posted).status_code == 202
    watching.says("#types", "parcel.delivered")
    watching.says("#tail", "parcel.delivered")
    watching.page.locator("#tail summary", has_text=posted["event_id"]).click()
    watching.says("#tail pre", '"street": "Mühlweg"')


def test_the_charts_show_what_flowed(watching: DashboardPage, weir: WeirUp) -> None:
    for _ in range(3):
        weir.post(*(event() for _ in range(50)), wait_seconds=10)
    watching.says("#chart-latency .keys", re.compile(r"p50 [\d.]+ m?s"))
    for chart in CHARTS:
        eventually(lambda chart=chart: watching.drawn_pixels(chart) > 1000, within_seconds=30, what=chart)
    watching.choose_range("24 h")
    watching.says("#chart-throughput .when", "events per hour")
    watching.says("#chart-throughput .keys", re.compile(r"stored 1\d\d"))
    watching.says("#chart-latency .keys", re.compile(r"p99 [\d.]+ m?s"))
    eventually(lambda: watching.drawn_pixels("throughput") > 1000, within_seconds=30)


def highest_lag(weir: WeirUp) -> int:
    """The most events that waited at any sample the API took."""
    return max((sample["lag"] for sample in weir.get("live/lag")["samples"]), default=0)


def test_the_chart_of_what_waits_shows_what_waited_before_the_page_was_opened(
    page: DashboardPage, weir: WeirUp
) -> None:
    weir.weir("processors", "pause", "--stream", "events")
    try:
        # what comes first may be stored before the pause is heeded; so there is always more to come
        eventually(
            lambda: weir.post(*(event() for _ in range(40))) and highest_lag(weir),
            within_seconds=60, what="the API has seen what waits",
        )  # fmt: skip
    finally:
        weir.weir("processors", "resume", "--stream", "events")
    eventually(lambda: weir.get("analytics/queue-status")["streams"][0]["length"] == 0, within_seconds=60)
    waited = highest_lag(weir)
    page.sign_in(weir.key).is_live().choose_range("1 h")
    told = page.page.locator("#chart-lag [role=img]")
    expect(told).to_have_attribute("aria-label", re.compile(rf"highest {waited:,}\b"), timeout=PATIENCE_MS)
    page.says("#chart-lag", "Since the API was started")


def test_a_chart_is_read_by_keyboard_and_told_in_words(watching: DashboardPage) -> None:
    watching.choose_range("15 min")
    plot = watching.page.locator("#chart-throughput [role=img]")
    expect(watching.page.locator("#chart-throughput canvas")).to_have_count(1)
    expect(plot).to_have_attribute("aria-label", re.compile(r"^Throughput\. stored: last .+, highest .+"))
    plot.focus()
    watching.page.keyboard.press("ArrowLeft")
    watching.says("#chart-throughput .when", re.compile(r"\d\d:\d\d:\d\d"))


def test_it_says_that_it_is_disconnected_and_comes_back_by_itself(live: DashboardPage, weir: WeirUp) -> None:
    os.kill(weir.find("analytics run"), signal.SIGKILL)
    live.says("#banner-what", "Disconnected since")
    live.says("#state-word", "Disconnected")
    assert live.page.title().startswith("Disconnected")
    live.is_live()
    expect(live.page.locator("#banner")).to_be_hidden(timeout=PATIENCE_MS)
    live.says("#tail-state", "following")
    weir.post(event("after.restart"), wait_seconds=10)
    live.says("#types", "after.restart")
    live.says("#tail", "after.restart")


def test_where_websockets_do_not_come_through_it_says_so_and_asks_instead(browser: Browser, weir: WeirUp) -> None:
    with dashboard(browser, weir.analytics) as tab:
        tab.page.route_web_socket(re.compile("/ws/metrics"), lambda socket: socket.close())
        tab.open().sign_in(weir.key)
        tab.says("#banner-what", "The live connection does not come through")
        tab.says("#state-word", "Not live")
        tab.says("#streams", "audit")


@pytest.mark.parametrize(
    ("key", "sentence"),
    [
        ("", "Enter an API key."),
        ("schlüssel", "holds characters that no key has"),
        ("weir_AAAAAAAAAAAA_notakey", "This key is refused"),
    ],
)
def test_a_key_that_is_none_is_refused_in_a_sentence(page: DashboardPage, key: str, sentence: str) -> None:
    page.page.get_by_label("API key").fill(key)
    page.page.get_by_label("API key").press("Enter")
    expect(page.page.get_by_role("alert")).to_contain_text(sentence, timeout=PATIENCE_MS)
    expect(page.page.locator(NUMBERS)).to_be_hidden()
    assert page.focused() == "key"
    assert page.page.evaluate("sessionStorage.length") == 0


def test_a_key_that_may_not_read_is_told_so(page: DashboardPage, weir: WeirUp) -> None:
    page.page.get_by_label("API key").fill(make_key(weir, "producer", "ingest"))
    page.page.keyboard.press("Enter")
    expect(page.page.get_by_role("alert")).to_contain_text("needs the scope read", timeout=PATIENCE_MS)


def test_a_key_that_is_switched_off_while_it_watches_is_signed_out(page: DashboardPage, weir: WeirUp) -> None:
    key = make_key(weir, "leaver", "read")
    page.sign_in(key).is_live()
    weir.weir("keys", "delete", key.split("_")[1], "--yes")
    page.sees(page.page.get_by_label("API key"))
    expect(page.page.get_by_role("alert")).to_contain_text("This key is refused", timeout=PATIENCE_MS)


def test_a_read_key_sees_its_own_client_only_and_is_told_what_it_does_not_see(
    page: DashboardPage, weir: WeirUp, shop_key: str
) -> None:
    weir.post(event("not.yours"), wait_seconds=10)
    page.sign_in(shop_key).is_live()
    page.says("#whose", "Client shop")
    page.says("#works-hidden", "only keys of scope admin see them")
    expect(page.page.locator("#client-choice")).to_be_hidden()
    expect(page.page.locator("#chart-lag")).to_be_hidden()
    page.says("#types-empty", "No events in this time")
    assert "not.yours" not in page.page.locator(NUMBERS).inner_text()
    page.assert_sound()


def test_an_admin_picks_a_client(live: DashboardPage, weir: WeirUp) -> None:
    weir.post(event("of.the.admin"), wait_seconds=10)
    live.says("#types", "of.the.admin")
    live.page.locator("#client option", has_text="admin").wait_for(state="attached")
    live.page.get_by_label("Client").select_option("admin")
    live.is_live()
    live.says("#types", "of.the.admin")
    live.assert_sound()


def test_strangers_words_are_text_wherever_they_show(watching: DashboardPage, weir: WeirUp) -> None:
    stored = {"event_id": MARKUP, "event_type": "xss.tried", "payload": {MARKUP: [MARKUP]}}
    failed = {"event_id": f"{MARKUP}!", "event_type": REFUSED_TYPE, "payload": {}}
    assert weir.post(stored, failed, wait_seconds=10).status_code in (200, 202)
    watching.page.locator("#tail tr", has_text="xss.tried").locator("summary").click()
    watching.says("#tail pre", MARKUP.replace('"', '\\"'))
    watching.says("#failed", f"{MARKUP}!")
    assert watching.page.locator("#numbers script, #numbers img").count() == 0
    assert watching.page.title() == "Weir"
    watching.assert_sound()


def test_one_signs_in_chooses_and_signs_out_by_keyboard_alone(page: DashboardPage, weir: WeirUp) -> None:
    assert page.focused() == "key"
    page.page.keyboard.type(weir.key)
    page.page.keyboard.press("Enter")
    page.is_live()
    assert page.focused() == "main"
    page.page.locator("#range input:checked").focus()
    page.page.keyboard.press("ArrowRight")
    assert page.page.locator("#range input:checked").get_attribute("value") == "1h"
    page.says("#types-range", "1 h")
    for _ in range(12):
        page.page.keyboard.press("Shift+Tab")
        if page.focused() == "sign-out":
            break
    page.page.keyboard.press("Enter")
    page.sees(page.page.get_by_label("API key"))
    assert page.focused() == "key"


def test_every_part_has_a_name_for_screen_readers(watching: DashboardPage) -> None:
    for role in ("banner", "main", "contentinfo"):
        assert watching.page.get_by_role(role).count() == 1  # type: ignore[arg-type]
    unnamed = watching.page.evaluate(UNNAMED)
    assert unnamed == []


def test_a_phone_scrolls_in_one_direction_only(browser: Browser, weir: WeirUp) -> None:
    weir.post(event("a.type." + "with-a-very-long-name" * 4), event(REFUSED_TYPE), wait_seconds=10)
    with dashboard(browser, weir.analytics, **PHONE) as phone:
        phone.open()
        assert phone.overflow_px() <= 0
        phone.sign_in(weir.key).is_live()
        phone.says("#types", "with-a-very-long-name")
        phone.says("#failed", REFUSED_TYPE)
        assert phone.overflow_px() <= 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_ink_is_readable_on_every_ground(browser: Browser, weir: WeirUp, scheme: str) -> None:
    with dashboard(browser, weir.analytics, color_scheme=scheme) as tab:
        pairs = [(ink, ground) for ink in INKS for ground in ("--surface", "--ground")]
        pairs += [
            ("--on-accent", "--accent"),
            ("--bad", "--bad-soft"),
            ("--warn", "--warn-soft"),
            ("--text", "--raised"),
        ]
        pale = {pair: ratio for pair, ratio in tab.open().contrasts(pairs).items() if ratio < 4.5}
        assert pale == {}


def test_dark_follows_the_system_until_a_person_chooses(browser: Browser, weir: WeirUp) -> None:
    brightness = "getComputedStyle(document.body).backgroundColor.match(/\\d+/g).reduce((a, b) => +a + +b, 0)"
    with dashboard(browser, weir.analytics, color_scheme="dark") as tab:
        tab.open()
        assert tab.page.evaluate(brightness) < 150
        tab.page.get_by_role("button", name="Switch to light colours").click()
        assert tab.page.evaluate(brightness) > 600
        tab.open()
        assert tab.page.evaluate(brightness) > 600
        tab.page.get_by_role("button", name="Switch to dark colours").click()
        assert tab.page.evaluate(brightness) < 150
        tab.assert_sound()

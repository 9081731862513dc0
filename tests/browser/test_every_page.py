"""Every page that can be opened by its address alone, in light and dark, narrow and wide: axe-core
finds nothing, nothing is complained of, nothing sticks out, and it is small.
"""

import pytest

from keyhall.console.routes import ROUTES

BYTES_MAX = 100_000
QUICK = [("light", 1280), ("dark", 360)]
LOOKS = [(scheme, width) for scheme in ("light", "dark") for width in (360, 1280)]
DOOR = ["/sign-in", "/sign-up", "/forgotten"]
NOT_PAGES = (
    "/live/",
    "/data",
    ".json",
    ".csv",
    ".md",
    ".txt",
    "/export",
    "/requests/new",
    "/palette",
)


def pages() -> list[str]:
    """Addresses without a part to fill in, and that answer with a page."""
    return sorted(
        {
            page.path
            for page in ROUTES
            if page.method == "GET"
            and "{" not in page.path
            and not any(each in page.path for each in NOT_PAGES)
        }
    )


@pytest.mark.parametrize(
    "window",
    [
        pytest.param(
            {"color_scheme": scheme, "viewport": {"width": width, "height": 800}},
            id=f"{scheme}-{width}",
            # The other two differ from these by what one of each has: `make test-slow`.
            marks=[] if (scheme, width) in QUICK else pytest.mark.slow,
        )
        for scheme, width in LOOKS
    ],
    indirect=True,
)
def test_every_page_is_sound_in_every_look(window, picture, findings, request) -> None:
    look = request.node.callspec.id
    faults = []
    for path in pages():
        window.go(path)
        name = path.strip("/").replace("/", "-") or "home"
        picture(window, f"{name}-{look}")
        faults += [f"{path}: {each}" for each in findings(window)]
        wide = window.page.evaluate(
            "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        )
        if wide > 0:
            faults.append(f"{path}: {wide} px stick out")
    assert faults == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_door_is_sound(stranger, picture, findings, scheme) -> None:
    stranger.page.emulate_media(color_scheme=scheme)
    faults = []
    for path in DOOR:
        stranger.go(path)
        picture(stranger, f"door-{path.strip('/')}-{scheme}")
        faults += [f"{path}: {each}" for each in findings(stranger)]
    assert faults == []


def test_no_page_is_larger_than_100_kb_at_first_load(chromium, opened) -> None:
    context = chromium.new_context(base_url=opened.url)
    context.add_cookies(opened.cookies)
    page = context.new_page()
    session = context.new_cdp_session(page)
    session.send("Network.enable")
    session.send("Network.setCacheDisabled", {"cacheDisabled": True})  # Each is the first.
    sizes: list[int] = []
    session.on("Network.loadingFinished", lambda event: sizes.append(event["encodedDataLength"]))
    found = {}
    for path in pages():
        sizes.clear()
        page.goto(path)
        found[path] = sum(sizes)
    context.close()
    assert min(found.values()) > BYTES_MAX / 10, "what every page loads is counted with each"
    assert {path: size for path, size in found.items() if size > BYTES_MAX} == {}


def test_without_javascript_links_and_forms_still_work(chromium, opened) -> None:
    context = chromium.new_context(base_url=opened.url, java_script_enabled=False)
    context.add_cookies(opened.cookies)
    page = context.new_page()
    page.goto("/")
    page.click("nav a[href='/keys']")
    assert page.locator("h1").first.inner_text() == "Keys"
    context.close()

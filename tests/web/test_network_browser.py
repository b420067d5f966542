"""Map and uptime in a real browser: axe finds nothing, they fit, and what a pointer does there."""

import pytest
from axe_playwright_python.sync_playwright import Axe

from coordinator.engine import places
from coordinator.web.app import make_app
from tests.web.chromium import launched
from tests.web.fakes import BEACON_TIME, FakeReader, FakeSubmit, world
from tests.web.serving import serving


@pytest.mark.parametrize(("width", "scheme"), [(360, "dark"), (1280, "light")])
def test_they_fit_and_axe_finds_nothing(width: int, scheme: str) -> None:
    shown = world(devices=9, closed=14)
    cell = places.text(places.cell_of(shown.places[next(iter(shown.devices))]))
    app = make_app(FakeReader(shown), FakeSubmit(), now=lambda: BEACON_TIME + 3)
    with serving(app) as client, launched() as browser:
        page = browser.new_page(viewport={"width": width, "height": 800}, color_scheme=scheme)
        said: list[str] = []
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        for target in ("/map", f"/map/{cell}", "/uptime", "/epochs"):
            page.goto(client.url + target)
            found = Axe().run(page)
            assert found.violations_count == 0, (target, found.generate_report())
            assert page.evaluate("document.documentElement.scrollWidth") <= width, target
        page.goto(f"{client.url}/uptime")
        newest = page.locator("table.uptime tbody tr").first.locator("td").nth(1)
        newest.hover()
        assert newest.get_attribute("title") == f"Epoch 13: {newest.text_content()} %"
        page.goto(f"{client.url}/map")
        drawn = page.locator(".cell.leads").last
        to = f"{client.url}/map/{drawn.get_attribute('data-cell')}"
        drawn.click(timeout=5000)
        page.wait_for_url(to)
        assert said == []

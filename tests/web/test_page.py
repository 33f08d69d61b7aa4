"""The page in a real browser, over a real demo: live values, the cut, the drain, and no violation of its policy."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fakes.browser import Browser, browser
from tests.fakes.nodes import free_port

pytestmark = [pytest.mark.slow, pytest.mark.needs("chromium")]

PICTURES = Path(os.environ.get("GATEWAY_PICTURES", "dist/pictures"))


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("demo")
    mqtt, http = free_port(), free_port()
    config = folder / "gateway.toml"
    config.write_text(f'[mqtt.tcp]\nport = {mqtt}\n[http]\nport = {http}\n[ble]\nenabled = "off"\n')
    words = ["run", "--demo", "--config", str(config), "--state", str(folder / "demo")]
    with (folder / "log.txt").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "gateway", *words], stdout=log, stderr=log
        )
    try:
        yield f"http://127.0.0.1:{http}"
    finally:
        process.send_signal(signal.SIGTERM)
        code = process.wait(20)
        assert code == 0, (folder / "log.txt").read_text()


@pytest.fixture(scope="module")
def page(demo: str) -> Iterator[Browser]:
    with browser() as tab:
        for _ in range(200):
            tab.go(f"{demo}/ui")
            try:
                tab.wait("document.querySelectorAll('#child .card').length >= 2", seconds=3)
                break
            except AssertionError:
                tab.problems.clear()
        yield tab


def test_played_back_sensors_show_live_values_with_a_sparkline(page: Browser):
    page.wait("document.querySelectorAll('#child .card').length >= 6", seconds=30)
    page.wait(
        "[...document.querySelectorAll('#child polyline')].some(p => (p.getAttribute('points') || '').split(' ').length > 2)",
        seconds=30,
    )
    assert page.ask("document.querySelector('#link').textContent") == "live"


def test_the_parent_stands_beside_with_the_same_devices(page: Browser):
    page.wait("document.querySelectorAll('#parent .card').length >= 6", seconds=30)
    page.wait("document.querySelector('#state').className === 'ok'", seconds=20)


def test_cutting_the_line_fills_the_log_and_mending_it_drains_it(page: Browser):
    page.wait("document.querySelector('#state').className === 'ok'", seconds=20)
    page.ask("document.querySelector('#cut').click()")
    page.wait("document.querySelector('#cut').getAttribute('aria-pressed') === 'true'")
    page.wait("Number(document.querySelector('#depth').textContent) > 5", seconds=30)
    PICTURES.mkdir(parents=True, exist_ok=True)
    page.picture(PICTURES / "page-cut.png")
    page.ask("document.querySelector('#cut').click()")
    page.wait("document.querySelector('#state').className === 'ok'", seconds=20)
    page.wait("Number(document.querySelector('#depth').textContent) <= 12", seconds=30)


def test_the_page_fits_a_phone(page: Browser):
    PICTURES.mkdir(parents=True, exist_ok=True)
    page.picture(PICTURES / "page-wide.png")
    page.picture(PICTURES / "page-400.png", width=400, height=900)
    assert page.ask("document.documentElement.scrollWidth <= 400")
    page.picture(PICTURES / "page-wide.png")


def test_nothing_breaks_the_pages_own_policy(page: Browser):
    assert page.problems == []

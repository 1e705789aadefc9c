"""Chromium without a window, and reports to open in it. Without a browser these tests fail."""

import json
import shutil
from pathlib import Path

import pytest
from selenium import webdriver
from selenium.webdriver.chrome.service import Service

from gattn.compare import Trial, grid
from gattn.compare.html import write_html
from tests.browser.rows import row_of

FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@pytest.fixture(scope="session")
def chromium(tmp_path_factory):
    """The browser, with its log and what it asks of the network."""
    program, driver = shutil.which("chromium"), shutil.which("chromedriver")
    assert program and driver, "found no chromium or no chromedriver: `make test-browser` says more"
    options = webdriver.ChromeOptions()
    options.binary_location = program
    for flag in (*FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('chromium')}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    browser = webdriver.Chrome(options, Service(driver))
    yield browser
    browser.quit()


class Page:
    """A report in the browser.

    Args:
        browser: of `chromium`.
        path: of the file.
    """

    def __init__(self, browser, path: Path) -> None:
        self.browser, self.path = browser, path
        for kind in ("browser", "performance"):
            browser.get_log(kind)

    def open(self, hash="", *, width=1280, dark=False, media="", scripts=True):
        """Load the page anew, at a width, with the colours and the medium that are asked for."""
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.cdp("Emulation.setEmulatedMedia", media=media, features=[scheme])
        size = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 500}
        self.cdp("Emulation.setDeviceMetricsOverride", **size)
        self.cdp("Emulation.setScriptExecutionDisabled", value=not scripts)
        self.browser.get("about:blank")
        self.browser.get(self.path.as_uri() + hash)
        return self

    def cdp(self, command, **arguments):
        """Send a command of the browser's own protocol."""
        return self.browser.execute_cdp_cmd(command, arguments)

    def js(self, code, *arguments):
        """Return what a piece of JavaScript returns, a promise included."""
        whole = (
            "const done = arguments[arguments.length - 1];"
            "(async (...args) => { const $ = (s) => [...document.querySelectorAll(s)];"
            f"{code} }})(...arguments).then(done, (error) => done('error: ' + error))"
        )
        return self.browser.execute_async_script(whole, *arguments)

    def all(self, selector):
        """Return the elements of a selector."""
        return self.browser.find_elements("css selector", selector)

    def one(self, selector):
        """Return the first element of a selector."""
        return self.browser.find_element("css selector", selector)

    def complaints(self):
        """Return what the console has to say."""
        return [entry["message"] for entry in self.browser.get_log("browser")]

    def requests(self):
        """Return the addresses that were asked for."""
        messages = (
            json.loads(entry["message"])["message"] for entry in self.browser.get_log("performance")
        )
        return [
            message["params"]["request"]["url"]
            for message in messages
            if message["method"] == "Network.requestWillBeSent"
        ]


@pytest.fixture
def page_of(chromium, tmp_path):
    """Writes the report of some rows and opens it."""

    def opened(rows, title=None, **how):
        path = write_html(rows, tmp_path / "report.html", title)
        return Page(chromium, path).open(**how)

    yield opened
    assert [entry["message"] for entry in chromium.get_log("browser")] == []
    chromium.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})


@pytest.fixture
def study():
    """Breadth 1 2 3 x depth 1 2 x three seeds."""
    trials = grid(dataset=["minesweeper"], breadth=[1, 2, 3], depth=[1, 2], seeds=3)
    return [row_of(trial) for trial in trials]


@pytest.fixture
def failed(study):
    """The same, all of it failed."""
    kept = ("key", *Trial.__dataclass_fields__, "metric")
    return [
        {
            **{name: row[name] for name in kept},
            "status": "failed",
            "cause": "memory",
            "reason": "found 12 GB, expected at most 8 GB",
        }
        for row in study
    ]

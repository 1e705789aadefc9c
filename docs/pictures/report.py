"""The picture of docs/report.md: `python docs/pictures/report.py`, with Chromium and its driver."""

import base64
import shutil
import tempfile
from pathlib import Path

from selenium import webdriver
from selenium.webdriver.chrome.service import Service

from gattn.compare import read_rows
from gattn.compare.html import write_html

HERE = Path(__file__).parent
ROWS = HERE.parent / "results" / "demo" / "trials.jsonl"
FLAGS = ("--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars")


def main() -> None:
    """Write `report/page.png`: the top of the report of the demo."""
    with tempfile.TemporaryDirectory() as folder:
        page = write_html(read_rows(ROWS), Path(folder) / "report.html")
        options = webdriver.ChromeOptions()
        options.binary_location = shutil.which("chromium") or "chromium"
        for flag in (*FLAGS, f"--user-data-dir={folder}/profile"):
            options.add_argument(flag)
        browser = webdriver.Chrome(options, Service(shutil.which("chromedriver")))
        size = {"width": 1200, "height": 1250, "deviceScaleFactor": 1, "mobile": False}
        browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        browser.get(page.as_uri())
        shot = browser.execute_cdp_cmd("Page.captureScreenshot", {})
        browser.quit()
    (HERE / "report" / "page.png").write_bytes(base64.b64decode(shot["data"]))


if __name__ == "__main__":
    main()

"""The report in a browser: what a reader sees, clicks, copies and prints, in light and dark."""

import base64
import csv
import io
import random
import re
import time
from pathlib import Path

import pytest
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait

from gattn.compare import Trial, grid, read_rows
from tests.browser.rows import row_of

RESULTS = Path(__file__).parents[2] / "docs" / "results"

STUDIES = {
    "a study": lambda study, failed: study,
    "one row": lambda study, failed: study[:1],
    "one seed": lambda study, failed: [row for row in study if row["seed"] == 0],
    "failed only": lambda study, failed: failed,
    "some failed": lambda study, failed: [*failed[:3], *study[3:]],
    "without the newer columns": lambda study, failed: [
        {k: v for k, v in row.items() if k not in ("curve", "hop_mass", "gate", "radius")}
        for row in study
    ],
    "demo": lambda study, failed: read_rows(RESULTS / "demo" / "trials.jsonl"),
    "known": lambda study, failed: read_rows(RESULTS / "known" / "trials.jsonl"),
}

SHOWN = """
  const lines = $("#trials .cell").filter((part) => part.getBoundingClientRect().height > 0);
  return lines.map((part) => [part.id, [...part.querySelectorAll("tbody tr")].map(
    (line) => [...line.cells].map((field) => field.textContent))]);
"""


@pytest.mark.parametrize("name", STUDIES)
def test_it_opens_without_errors_and_without_a_network(name, page_of, study, failed):
    page = page_of(STUDIES[name](study, failed))
    assert page.complaints() == []
    assert {url for url in page.requests() if url != "about:blank"} == {page.path.as_uri()}
    assert page.js("return performance.getEntriesByType('resource').length") == 0
    assert page.one("h1").text and page.one("#answer").text
    assert page.js("return $('#table tbody tr').length") > 0


def test_the_policy_would_refuse_what_comes_from_elsewhere(page_of, study):
    page = page_of(study)
    code = "const image = new Image(); image.src = arguments[0]; document.body.append(image);"
    page.browser.execute_script(code, "https://192.0.2.1/a.png")
    refused = "Content Security Policy"
    WebDriverWait(page.browser, 10).until(
        lambda _: any(refused in text for text in page.complaints())
    )


def test_a_click_on_a_cell_shows_its_trials_and_no_others(page_of, study):
    page = page_of(study)
    assert page.js(SHOWN) == []
    page.one(".heat a[href^='#breadth-2-depth-1']").click()
    (shown,) = page.js(SHOWN)
    assert shown[0].startswith("breadth-2-depth-1")
    mine = [row for row in study if (row["breadth"], row["depth"]) == (2, 1)]
    assert [line[0] for line in shown[1]] == ["0", "1", "2"]
    assert [line[3] for line in shown[1]] == [f"{100 * row['test']:.2f}" for row in mine]
    page.one(".heat a[href^='#breadth-3-depth-2']").click()
    assert [part[0][:17] for part in page.js(SHOWN)] == ["breadth-3-depth-2"]
    page.one(".cell.open .close").click()
    assert page.js(SHOWN) == []
    assert page.js("return location.hash") == ""


def test_keys_open_and_close_it_and_give_the_focus_back(page_of, study):
    page = page_of(study)
    cell = page.one(".heat a[href^='#breadth-1-depth-2']")
    page.browser.execute_script("arguments[0].focus()", cell)
    ActionChains(page.browser).send_keys(Keys.ENTER).perform()
    assert [part[0][:17] for part in page.js(SHOWN)] == ["breadth-1-depth-2"]
    assert page.js("return document.activeElement.tagName") == "H3"
    ActionChains(page.browser).send_keys(Keys.ESCAPE).perform()
    assert page.js(SHOWN) == []
    assert page.browser.switch_to.active_element == cell


def test_a_link_to_a_cell_opens_it_and_the_way_back_closes_it(page_of, study):
    page = page_of(study)
    name = page.one(".heat a").get_attribute("href").partition("#")[2]
    page.open(f"#{name}")
    assert [part[0] for part in page.js(SHOWN)] == [name]
    page.open()
    page.one(".heat a").click()
    page.browser.back()
    assert page.js(SHOWN) == []


def test_a_point_of_a_front_opens_its_trials(page_of, study):
    page = page_of(study)
    ActionChains(page.browser).scroll_to_element(page.one("#cost a.best")).perform()
    page.one("#cost a.best circle").click()
    assert len(page.js(SHOWN)) == 1


COLUMN = """
  const at = $("#table th").findIndex((head) => head.textContent.startsWith(args[0]));
  return $("#table tbody tr").map((line) => JSON.parse(line.cells[at].dataset.v)[0]);
"""


def test_the_table_sorts_by_clicks_and_keys(page_of, study):
    page = page_of(study)
    before = page.js(COLUMN, "test")
    head = next(th for th in page.all("#table th") if th.text.startswith("test"))
    head.find_element("css selector", "button").click()
    assert page.js(COLUMN, "test") == sorted(before)
    assert head.get_attribute("aria-sort") == "ascending"
    head.find_element("css selector", "button").send_keys(Keys.ENTER)
    assert page.js(COLUMN, "test") == sorted(before, reverse=True)
    assert head.get_attribute("aria-sort") == "descending"
    others = {th.get_attribute("aria-sort") for th in page.all("#table th") if th != head}
    assert others == {"none"}


def test_breadths_in_words_come_after_those_in_numbers(page_of):
    breadths = [2, "full", 10, "learned:5", 1]
    rows = [
        row_of(Trial.of("minesweeper", breadth=1), key=str(b), breadth=b, val=0.8, test=0.8)
        for b in breadths
    ]
    page = page_of(rows)
    page.one("#table th button").click()
    assert page.js(COLUMN, "breadth") == [1, 2, 10, "full", "learned:5"]
    assert page.complaints() == []


def said(page, text):
    """Wait until the page has said so."""
    WebDriverWait(page.browser, 10).until(lambda _: text in page.one("#said").text)


def copied(page, kind):
    page.cdp("Browser.grantPermissions", permissions=["clipboardReadWrite"])
    page.one(f"[data-copy='{kind}']").click()
    said(page, "copied: ")
    return page.js("return navigator.clipboard.readText()")


def test_the_table_is_copied_as_markdown(page_of, study):
    lines = copied(page_of(study), "markdown").splitlines()
    assert lines[0].startswith("| breadth | depth | seeds | test ROC AUC (%) | 95 % interval |")
    assert re.fullmatch(r"\|( ---:? \|)+", lines[1])
    assert len(lines) == 2 + 6 and all(line.count("|") == lines[0].count("|") for line in lines)
    assert lines[2].startswith("| 1 | 1 | 3 | 76.00 ± 1.00 | 73.52 to 78.48 |")


def test_the_table_is_copied_as_latex(page_of, study):
    lines = copied(page_of(study), "latex").splitlines()
    assert re.fullmatch(r"\\begin\{tabular\}\{[lr]+\}", lines[0])
    assert lines[2].startswith(r"breadth & depth & seeds & test ROC AUC (\%) & 95 \% interval &")
    assert lines[4].startswith(r"1 & 1 & 3 & 76.00 $\pm$ 1.00 & 73.52 to 78.48 &")
    assert lines[-2:] == [r"\hline", r"\end{tabular}"]
    assert all(line.endswith(r"\\") for line in lines[4:-2])


def test_the_table_is_copied_as_csv_in_the_order_that_is_seen(page_of, study):
    page = page_of(study)
    for _ in range(2):
        page.all("#table th button")[0].click()
    lines = list(csv.DictReader(io.StringIO(copied(page, "csv"))))
    assert [int(line["breadth"]) for line in lines] == [3, 3, 2, 2, 1, 1]
    for line in lines:
        place = int(line["breadth"]), int(line["depth"])
        tests = [row["test"] for row in study if (row["breadth"], row["depth"]) == place]
        assert float(line["test"]) == pytest.approx(sum(tests) / 3, abs=1e-12)
        assert float(line["test_std"]) == pytest.approx(0.01)


def test_what_needs_quotes_gets_them(page_of, study):
    page = page_of(
        [{**row, "score": 'a "b", c|d_&%'} if row["depth"] == 2 else row for row in study]
    )
    lines = list(csv.DictReader(io.StringIO(copied(page, "csv"))))
    assert {line["score"] for line in lines} == {"scaled_dot", 'a "b", c|d_&%'}
    assert r"c\|d_&%" in copied(page, "markdown")
    assert r"c|d\_\&\%" in copied(page, "latex")


def test_without_a_clipboard_it_copies_the_old_way(page_of, study):
    page = page_of(study)
    page.js(
        "navigator.clipboard.writeText = () => Promise.reject(new Error('refused'));"
        "document.addEventListener('copy', () => { window.old = document.activeElement.value; });"
    )
    page.one("[data-copy='csv']").click()
    said(page, "copied: the table as CSV")
    assert page.js("return window.old").startswith("breadth,depth,seeds,test,test_std")
    assert page.all("textarea") == []


def test_the_command_is_copied(page_of, study):
    text = copied(page_of(study), "command")
    assert text.startswith("gattn compare --dataset minesweeper --breadth 1 2 3 --depth 1 2")


def test_on_paper_everything_is_open_and_light_and_nothing_is_to_be_pressed(page_of, study, failed):
    others = [{**row, "key": f"{row['key']}x", "score": "dot"} for row in study]
    page = page_of([*study, *others, *failed[:0]], dark=True, media="print")
    assert (
        page.js("return $('button:not(th button), nav').filter((e) => e.offsetHeight > 0).length")
        == 0
    )
    assert len(page.js(SHOWN)) == 12
    assert page.js("return getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert page.js("return getComputedStyle(document.body).color") == "rgb(29, 36, 44)"
    printed = page.cdp("Page.printToPDF", printBackground=True, paperWidth=8.27, paperHeight=11.7)
    pages = re.findall(rb"/Type\s*/Page\b", base64.b64decode(printed["data"]))
    assert len(pages) > 1


def test_what_is_folded_opens_for_the_printer_and_folds_again(page_of, study):
    kinds = ("dot", "general", "cosine", "additive", "gat", "gatv2", "mlp", "distance")
    rows = [{**row, "key": row["key"] + kind, "score": kind} for kind in kinds for row in study]
    page = page_of(rows)
    closed = "return $('details:not([open])').length"
    assert page.js(closed) > 0
    page.js("window.dispatchEvent(new Event('beforeprint'))")
    assert page.js(closed) == 0
    page.js("window.dispatchEvent(new Event('afterprint'))")
    assert page.js(closed) > 0


TYPE = """
  const sizes = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const parent = walker.currentNode.parentElement;
    if (!walker.currentNode.textContent.trim() || parent.closest("script, style")) continue;
    if (!parent.checkVisibility({ checkVisibilityCSS: true })) continue;
    let size = parseFloat(getComputedStyle(parent).fontSize);
    const svg = parent.closest("svg");
    if (svg) size *= svg.getBoundingClientRect().width / svg.viewBox.baseVal.width;
    sizes.push([size, walker.currentNode.textContent]);
  }
  return sizes.sort((a, b) => a[0] - b[0]);
"""


@pytest.mark.parametrize("name", ["a study", "some failed", "known"])
def test_a_phone_shows_it_without_scrolling_sideways(name, page_of, study, failed):
    page = page_of(STUDIES[name](study, failed), width=390)
    assert page.js("return document.documentElement.scrollWidth") <= 390
    smallest = page.js(TYPE)[0]
    assert smallest[0] >= 13.5, smallest
    cell = page.one(".heat tbody a")
    assert cell.size["height"] >= 36
    page.js("args[0].click()", cell)
    assert len(page.js(SHOWN)) == 1
    assert page.js("return document.documentElement.scrollWidth") <= 390


CONTRAST = """
  const context = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const channels = (colour) => {
    context.clearRect(0, 0, 1, 1);
    context.fillStyle = colour;
    context.fillRect(0, 0, 1, 1);
    return [...context.getImageData(0, 0, 1, 1).data];
  };
  const luminance = (colour) => channels(colour).slice(0, 3).map((v) => v / 255)
    .map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4))
    .reduce((sum, v, k) => sum + v * [0.2126, 0.7152, 0.0722][k], 0);
  const behind = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const colour = getComputedStyle(at).backgroundColor;
      if (channels(colour)[3] === 255) return colour;
    }
    return "white";
  };
  const found = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const parent = walker.currentNode.parentElement;
    if (!walker.currentNode.textContent.trim() || parent.closest("script, style")) continue;
    if (!parent.checkVisibility({ checkVisibilityCSS: true })) continue;
    const style = getComputedStyle(parent);
    const ink = luminance(parent.closest("svg") ? style.fill : style.color);
    const paper = luminance(behind(parent));
    const ratio = (Math.max(ink, paper) + 0.05) / (Math.min(ink, paper) + 0.05);
    found.push([ratio, walker.currentNode.textContent]);
  }
  return found.sort((a, b) => a[0] - b[0]);
"""


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_all_text_has_contrast(dark, page_of, study, failed):
    page = page_of([*failed[:2], *study[2:]], dark=dark)
    page.one(".heat a").click()
    least = page.js(CONTRAST)[0]
    assert least[0] >= 4.5, least
    paper = page.js("return getComputedStyle(document.body).backgroundColor")
    assert (paper == "rgb(20, 23, 27)") == dark


def test_the_button_changes_the_colours(page_of, study):
    page = page_of(study)
    paper = "return getComputedStyle(document.body).backgroundColor"
    light = page.js(paper)
    page.one("#theme").click()
    assert page.js(paper) != light
    assert page.one("#theme").text == "Light"
    page.one("#theme").click()
    assert page.js(paper) == light


NASTY = (
    """</script><script>window.hacked = 1</script><img src=x onerror="window.hacked = 2">'"`&lt;"""
)


def test_what_is_in_rows_is_never_code(page_of, study, failed):
    rows = [{**row, "options": NASTY, "score": NASTY, "device": NASTY} for row in study[3:]]
    rows += [{**row, "reason": NASTY, "cause": NASTY, "options": NASTY} for row in failed[:3]]
    page = page_of(rows, title=NASTY)
    page.one(".heat a").click()
    assert page.js("return window.hacked === undefined")
    assert page.js("return $('img').length") == 0
    assert page.one("h1").text == NASTY
    assert page.js("return $('.reason')[0].textContent") == NASTY
    assert page.complaints() == []
    assert copied(page, "csv").count("window.hacked = 1") > 0


def test_without_scripts_all_of_it_is_there(page_of, study):
    page = page_of(study, scripts=False)
    shown = [part for part in page.all("#trials .cell") if part.is_displayed()]
    assert len(shown) == 6
    assert not any(button.is_displayed() for button in page.all(".needs-script"))
    assert page.one("#curves path.metric").is_displayed()


def test_two_thousand_trials_open_quickly(page_of, study):
    breadths, depths = range(1, 11), (1, 2, 3, 4)
    trials = grid(
        dataset=["minesweeper"], model=["layer"], breadth=breadths, depth=depths, seeds=50
    )
    chance = random.Random(0)
    rows = [row_of(trial, val=chance.random(), test=chance.random()) for trial in trials]
    start = time.perf_counter()
    page = page_of(rows)
    page.one(".heat a[href^='#breadth-9-depth-4']").click()
    assert len(page.js(SHOWN)[0][1]) == 50
    assert time.perf_counter() - start < 30
    assert page.path.stat().st_size < 5_000_000
    ready = "return performance.getEntriesByType('navigation')[0].domComplete"
    assert page.js(ready) < 10_000

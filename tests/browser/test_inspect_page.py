"""The page of `gattn inspect` in a browser: a walk from node to node, by mouse and by keys."""

import pytest
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.keys import Keys

from gattn.compare import Trial, run_trial
from gattn.compare.inspecting import findings, open_checkpoint, write_inspection
from gattn.compare.trial import load_task
from tests.browser.conftest import Page

WHO = "return document.getElementById('who').textContent"
NODES = "return $('#ego .node').length"


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    folder = tmp_path_factory.mktemp("inside")
    trial = Trial.of("karate", breadth=2, hidden=8, heads=2, epochs=3)
    run_trial(trial, load_task(trial), checkpoint=folder / "kept.pt")
    opened = open_checkpoint(folder / "kept.pt")
    return write_inspection(findings(opened, node=0), opened, folder)[0]


@pytest.fixture
def page(chromium, written):
    made = Page(chromium, written)
    yield made
    assert made.complaints() == []


def test_it_asks_nothing_of_a_network(page):
    page.open()
    assert {url for url in page.requests() if url != "about:blank"} == {page.path.as_uri()}
    assert page.js(WHO).startswith("Node 0: class")
    assert page.js(NODES) > 5


def test_a_click_moves_and_back_returns(page):
    page.open()
    neighbor = page.one("#ego .node[tabindex]")
    name = neighbor.find_element("css selector", "text").text
    neighbor.click()
    assert page.js(WHO).startswith(f"Node {name}:")
    page.one("#back").click()
    assert page.js(WHO).startswith("Node 0:")
    assert not page.one("#back").is_enabled()


def test_keys_move(page):
    page.open()
    neighbor = page.one("#ego .node[tabindex]")
    name = neighbor.find_element("css selector", "text").text
    page.browser.execute_script("arguments[0].focus()", neighbor)
    ActionChains(page.browser).send_keys(Keys.ENTER).perform()
    assert page.js(WHO).startswith(f"Node {name}:")
    assert page.js("return document.activeElement.closest('#ego') !== null")


def test_a_number_moves_and_a_wrong_one_is_said(page):
    page.open()
    field = page.one("#node")
    field.clear()
    field.send_keys("33", Keys.ENTER)
    assert page.js(WHO).startswith("Node 33:")
    field.clear()
    field.send_keys("34", Keys.ENTER)
    assert "not on this page" in page.js(WHO)


def test_layers_heads_and_rollout(page):
    page.open()
    choose = (
        "const part = document.getElementById(arguments[0]); part.value = arguments[1];"
        "part.dispatchEvent(new Event('change'));"
    )
    for head in ("mean", "0", "1"):
        page.browser.execute_script(choose, "head", head)
        shares = page.js(
            "return $('#near tbody tr').map((row) => parseFloat(row.cells[2].textContent))"
        )
        assert shares == sorted(shares, reverse=True)
        assert sum(shares) == pytest.approx(100, abs=6)
    page.browser.execute_script(choose, "layer", "flow")
    assert not page.one("#head").is_enabled()
    assert page.js(NODES) > 5


@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("dark", [False, True])
def test_it_fits_and_has_colours_for_both(page, width, dark):
    page.open(width=width, dark=dark)
    assert page.js("return document.documentElement.scrollWidth <= window.innerWidth")
    paper = page.js("return getComputedStyle(document.body).backgroundColor")
    assert (sum(map(int, paper[4:-1].split(","))) < 384) == dark


def test_without_scripts_there_are_still_the_tables(page):
    page.open(scripts=False)
    assert not page.one("#ego").is_displayed()
    assert page.one("#heads table").is_displayed()
    page.cdp("Emulation.setScriptExecutionDisabled", value=False)

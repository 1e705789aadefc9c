"""Pages of one file: nothing from elsewhere, nothing that ends what it is in."""

import re

import pytest

from gattn._page import POLICY, page, tag


def test_a_page_is_whole_and_asks_for_nothing():
    text = page("A & B", [tag("p", "1 < 2")], styles=["p { color: red }"], scripts=["f();"])
    assert text.startswith("<!doctype html>\n<html")
    assert "<title>A &amp; B</title>" in text and "<p>1 &lt; 2</p>" in text
    assert "p { color: red }" in text and "f();" in text
    assert POLICY.startswith("default-src 'none'") and "Content-Security-Policy" in text
    assert not re.search(r"(?:src|href)=.?http|@import|url\(", text)


@pytest.mark.parametrize("kind", ["styles", "scripts"])
def test_what_would_end_its_own_element_is_refused(kind):
    text = {"styles": "/* </STYLE> */", "scripts": "'</script>'"}[kind]
    with pytest.raises(ValueError, match="expected text that does not end it"):
        page("t", [], **{kind: [text]})

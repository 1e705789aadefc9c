"""Text is escaped, markup is not, wherever they stand."""

from hypothesis import given
from hypothesis import strategies as st

from gattn._page.markup import Markup, joined, tag


def test_elements_nest_and_text_is_escaped():
    assert tag("p", "a < b", tag("b", '"')) == "<p>a &lt; b<b>&quot;</b></p>"
    assert tag("br") == "<br>" and tag("path", d="M0 0") == '<path d="M0 0"/>'
    assert joined(["<", None, 1, Markup("<i>")]) == "&lt;1<i>"


def test_attributes_are_named_escaped_and_left_out():
    made = tag("a", class_="x", data_v='"<', viewBox="0", open=True, hidden=False, id=None)
    assert made == '<a class="x" data-v="&quot;&lt;" viewBox="0" open></a>'


@given(st.text())
def test_no_text_opens_an_element_or_leaves_an_attribute(text):
    made = tag("p", text, title=text)
    assert made.count("<") == 2 and made.count(">") == 2 and made.count('"') == 2

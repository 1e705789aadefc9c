"""A hook of mkdocs: formulas become MathML as the site is built, so a page needs no script."""

import html
import re

from latex2mathml.converter import convert

_FORMULA = re.compile(r'<(span|div) class="arithmatex">\\[([](.*?)\\[])]</\1>', re.DOTALL)


def on_page_content(content: str, **_: object) -> str:
    """Replace what arithmatex has marked as LaTeX.

    Args:
        content: the HTML of one page.
    """
    return _FORMULA.sub(_mathml, content)


def _mathml(formula: re.Match[str]) -> str:
    display = "block" if formula[1] == "div" else "inline"
    return convert(html.unescape(formula[2]), display=display)

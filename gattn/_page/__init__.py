"""Pages of one file: HTML with its styles, its scripts and nothing that a network would bring.

from gattn._page import page, tag

Path("page.html").write_text(page("A title", [tag("p", "words & numbers")]))

Text is escaped where it becomes markup (`tag`), and a policy in the page's head forbids the browser
to load anything at all.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from importlib.resources import files

from gattn._page.markup import Markup as Markup
from gattn._page.markup import joined as joined
from gattn._page.markup import tag as tag

POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:; "
    "base-uri 'none'; form-action 'none'"
)
"""What a browser may load: what is written in the page itself."""

_EARLY = "document.documentElement.classList.add('js')"


def page(
    title: str,
    body: Iterable[Markup | str],
    *,
    styles: Sequence[str] = (),
    scripts: Sequence[str] = (),
) -> str:
    """Return a whole page, which has the common styles and scripts of `asset` before its own.

    Args:
        title: of the window.
        body: what the page shows; text that is not `Markup` is escaped.
        styles: CSS, ours, put in as it is.
        scripts: JavaScript, ours, put in as it is, run when the body is there.

    Raises:
        ValueError: a style or a script that would end its own element.
    """
    head = (
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=POLICY),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("title", title),
        _inlined("style", [asset("gattn._page", "page.css"), *styles]),
        _inlined("script", [_EARLY]),
    )
    code = _inlined("script", [asset("gattn._page", "page.js"), *scripts])
    whole = tag("html", tag("head", *head), "\n", tag("body", *body, code), "\n", lang="en")
    return f"<!doctype html>\n{whole}\n"


def asset(package: str, name: str) -> str:
    """Return a text file that lies in a package.

    Args:
        package: its dotted name.
        name: of the file.
    """
    return files(package).joinpath(name).read_text(encoding="utf-8")


def _inlined(name: str, texts: Sequence[str]) -> Markup:
    text = "\n".join(texts)
    if f"</{name}" in text.lower():
        raise ValueError(f"{name}: found </{name} inside, expected text that does not end it")
    return Markup(f"<{name}>{text}</{name}>")

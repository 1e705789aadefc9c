"""HTML and SVG as values: `tag` escapes what is not markup already."""

from __future__ import annotations

import html
from collections.abc import Iterable


class Markup(str):
    """Text that is HTML or SVG, made by `tag`; a plain string is text and gets escaped."""

    __slots__ = ()


_VOID = frozenset({"meta", "br", "hr", "input", "col", "wbr"})
_EMPTY = frozenset({"circle", "line", "path", "rect", "polyline"})


def tag(name: str, /, *children: object, **attributes: object) -> Markup:
    """Return an element.

    Args:
        name: such as `p`.
        children: `Markup` is put in as it is, None left out, all else escaped.
        attributes: `class_` is `class`, other underscores are hyphens; None and False leave an
            attribute out, True has no value.
    """
    opened = f"<{name}{''.join(map(_attribute, attributes, attributes.values()))}"
    if name in _VOID:
        return Markup(f"{opened}>")
    if name in _EMPTY and not children:
        return Markup(f"{opened}/>")
    return Markup(f"{opened}>{joined(children)}</{name}>")


def joined(children: Iterable[object]) -> Markup:
    """Return the children one after the other, as `tag` puts them in."""
    return Markup("".join(_escaped(child) for child in children if child is not None))


def _escaped(child: object) -> str:
    return child if isinstance(child, Markup) else html.escape(str(child))


def _attribute(name: str, value: object) -> str:
    if value is None or value is False:
        return ""
    name = name.rstrip("_").replace("_", "-") if name != "viewBox" else name
    return f" {name}" if value is True else f' {name}="{html.escape(str(value))}"'

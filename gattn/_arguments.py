"""What the command lines share: options of several values, errors of usage, device and threads."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import typer
from typer.core import TyperCommand

from gattn import _check as check


class Spaced(TyperCommand):
    """A command whose repeatable options take several values at once: `--breadth 1 2 3`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Write such an option out, once per value, and parse as usual."""
        options = [param for param in self.params if getattr(param, "multiple", False)]
        names = {name for param in options for name in param.opts}
        return super().parse_args(ctx, spread(args, names))


def spread(arguments: Sequence[str], names: set[str]) -> list[str]:
    """Repeat each of the named options before each of its values.

    `--breadth 1 2 --lr 1` becomes `--breadth 1 --breadth 2 --lr 1`; a negative number is a value.

    Args:
        arguments: of the command line.
        names: of options that take several values, such as `--breadth`.
    """
    out: list[str] = []
    option, taken = "", True
    for argument in arguments:
        if argument.startswith("-") and not _is_number(argument):
            name, equals, _ = argument.partition("=")
            option, taken = (name, bool(equals)) if name in names else ("", True)
            out.append(argument)
        else:
            out += [option, argument] if option and taken else [argument]
            taken = True
    return out


def _is_number(text: str) -> bool:
    try:
        float(text.split(",")[0])
    except ValueError:
        return False
    return True


class UsageError(ValueError):
    """Arguments that cannot be meant."""


def number(kind: type[int] | type[float], expected: str) -> dict[str, Any]:
    """Return how typer reads such a number; other text is refused with what was expected."""

    def parse(text: str) -> float:
        try:
            return kind(text)
        except ValueError:
            raise typer.BadParameter(f"found {text!r}, expected {expected}") from None

    return {"parser": parse, "metavar": "INTEGER" if kind is int else "NUMBER"}


def about(panel: str | None, text: str, decls: Sequence[str] = (), **more: Any) -> Any:
    """Return an option with its help text, in a panel of the help page, and a name of its own."""
    return typer.Option(*decls, help=text, rich_help_panel=panel, **more)


WHOLE = number(int, "a whole number")


@contextmanager
def refusals_of_use() -> Iterator[None]:
    """Arguments that our own checks refuse are errors of usage."""
    try:
        yield
    except (ValueError, TypeError) as error:
        raise UsageError(str(error)) from error


def given(ctx: typer.Context, names: Sequence[str]) -> dict[str, Any]:
    """Return those of the named options that were given, several values split at commas."""
    values = {name: ctx.params[name] for name in names if ctx.params[name]}
    return {name: [part for text in v for part in text.split(",")] for name, v in values.items()}


def prepare(device: str, threads: int | None) -> None:
    """Check the device and set torch's threads."""
    import torch

    if not re.fullmatch(r"cpu|cuda(:\d+)?", device):
        raise UsageError(f"--device: found {device!r}, expected cpu, cuda or cuda:1")
    count = torch.cuda.device_count()
    if device != "cpu" and int(device[5:] or 0) >= count:
        raise UsageError(f"--device: found {device!r}, but torch sees {count} CUDA devices")
    if threads is not None:
        torch.set_num_threads(check.integer("threads", threads, 1))


def options_of(texts: Sequence[str]) -> tuple[tuple[str, Any], ...]:
    """Return `size=40` as `("size", 40)`; values are JSON where they can be, else text."""
    pairs = [text.partition("=") for text in texts]
    for name, equals, _ in pairs:
        if not (name and equals):
            raise UsageError(f"--option: found {name!r}, expected name=value, such as size=40")
    return tuple((name, _value(value)) for name, _, value in pairs)


def _value(text: str) -> Any:
    try:
        return json.loads({"True": "true", "False": "false"}.get(text, text))
    except ValueError:
        return text

"""A study as a file: TOML, YAML or JSON, whose keys are the arguments of `grid`.

A list is a list of values to combine, a value alone is one of them; `options` is a table of the
dataset's options. Every key is checked when the file is read, and an error names it.
"""

from __future__ import annotations

import difflib
import json
import os
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any, get_type_hints

from gattn.compare.trial import Trial

FILE = "study.json"

_AXES: dict[str, tuple[type, ...]] = {
    "dataset": (str,),
    "model": (str,),
    "breadth": (int, str),
    "depth": (int,),
    "score": (str,),
    "normalizer": (str,),
    "encoding": (str, type(None)),
}
_COUNTS = ("seeds", "first_seed", "threads")
_OF_A_ROW = ("seed", "options", "dataset_sha256", *_AXES)
_WORDS = {int: "a whole number", float: "a number", str: "text", bool: "true or false"}


def _settings() -> dict[str, tuple[type, ...]]:
    """The other fields of a trial, each with the types of its values."""
    hints = get_type_hints(Trial)
    names = [field.name for field in fields(Trial) if field.name not in _OF_A_ROW]
    return {name: _types(hints[name]) for name in names}


def _types(hint: Any) -> tuple[type, ...]:
    found = getattr(hint, "__args__", (hint,))
    return tuple(kind for kind in found if kind is not type(None))


KEYS: dict[str, tuple[type, ...]] = {**_AXES, **dict.fromkeys(_COUNTS, (int,)), **_settings()}
"""Every key of a study with the types of its values; `options` is one besides."""


class StudyError(ValueError):
    """A study file that cannot be meant: one line that names the file and the key."""


def read_study(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Read a study.

    Args:
        path: of a file that ends in .toml, .yaml, .yml or .json.

    Returns:
        Arguments of `grid`, and `threads` if the file has it.

    Raises:
        StudyError: the file is missing, damaged, or has a key or value that cannot be meant.
    """
    file = Path(path)
    read = _READERS.get(file.suffix.lower())
    if read is None:
        raise StudyError(f"study: found {file}, expected a file in {', '.join(_READERS)}")
    try:
        stored = read(file)
    except OSError as error:
        raise StudyError(f"study: found {error}, expected a file that can be read") from None
    except StudyError:
        raise
    except (ValueError, RecursionError) as error:
        said = " ".join(str(error).split())[:200]
        kind = file.suffix[1:].upper()
        raise StudyError(f"{file}: found what is no {kind} ({said}), expected a study") from None
    return checked(stored, str(file))


def checked(stored: object, where: str) -> dict[str, Any]:
    """Check a study as it is stored.

    Args:
        stored: a mapping of keys to values.
        where: the file, for messages.

    Raises:
        StudyError: at the first key that is unknown, or whose value has the wrong type.
    """
    if not isinstance(stored, Mapping):
        raise StudyError(f"{where}: found {_shown(stored)}, expected keys and values")
    return {str(key): _value(where, key, value) for key, value in stored.items()}


def write_study(study: Mapping[str, Any], out: str | os.PathLike[str]) -> Path:
    """Write a study beside its rows, such that `read_study` reads it again.

    Args:
        study: arguments of `grid`, and perhaps `threads`.
        out: the folder of the rows.
    """
    path = Path(out) / FILE
    path.parent.mkdir(parents=True, exist_ok=True)
    stored = {key: value for key, value in study.items() if value is not None}
    if "options" in stored:
        stored["options"] = dict(stored["options"])
    path.write_text(json.dumps(stored, indent=2, allow_nan=False) + "\n", encoding="utf-8")
    return path


def _value(where: str, key: object, value: object) -> Any:
    name = f"{where}: {key}"
    if key == "options":
        return _options(name, value)
    if key not in KEYS:
        near = difflib.get_close_matches(str(key), [*KEYS, "options"], n=1)
        hint = f" (did you mean {near[0]}?)" if near else ""
        expected = f"one of {', '.join([*KEYS, 'options'])}"
        raise StudyError(f"{name}: found an unknown key, expected {expected}{hint}")
    kinds = KEYS[str(key)]
    if key == "num_neighbors":
        return _numbers(name, value)
    if key not in _AXES and (key in _COUNTS or not isinstance(value, list)):
        return _one(name, value, kinds)
    values = value if isinstance(value, list) else [value]
    if not values:
        raise StudyError(f"{name}: found an empty list, expected at least one value")
    found = [_one(name, one, kinds) for one in values]
    return [None if one == "none" else one for one in found] if key == "encoding" else found


def _numbers(name: str, value: object) -> tuple[int, ...]:
    """A list that is one value: neighbours in each hop of a batch."""
    if not isinstance(value, list) or not value:
        raise StudyError(f"{name}: found {_shown(value)}, expected a list of whole numbers")
    return tuple(_one(name, one, (int,)) for one in value)


def _one(name: str, value: object, kinds: tuple[type, ...]) -> Any:
    fits = isinstance(value, kinds) or (float in kinds and isinstance(value, int))
    if not fits or (isinstance(value, bool) and bool not in kinds):
        expected = " or ".join(_WORDS[kind] for kind in kinds if kind in _WORDS)
        raise StudyError(f"{name}: found {_shown(value)}, expected {expected}")
    return value


def _options(name: str, value: object) -> tuple[tuple[str, Any], ...]:
    if not isinstance(value, Mapping):
        raise StudyError(f"{name}: found {_shown(value)}, expected a table of options")
    kinds = (str, bool, int, float)
    return tuple((str(k), _one(f"{name}.{k}", v, kinds)) for k, v in value.items())


def _shown(value: object) -> str:
    if isinstance(value, Mapping):
        return "a table"
    if isinstance(value, list):
        return f"a list of {len(value)}"
    return repr(value)[:60]


def _toml(path: Path) -> object:
    return tomllib.loads(path.read_text(encoding="utf-8"))


def _json(path: Path) -> object:
    return json.loads(path.read_text(encoding="utf-8"), object_pairs_hook=_once)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise ValueError(f"the key {key!r} twice")
        found[key] = value
    return found


def _yaml(path: Path) -> object:
    try:
        import yaml
    except ImportError:
        expected = "PyYAML for it (pip install pyyaml), or a study in .toml"
        raise StudyError(f"{path}: found YAML, expected {expected}") from None
    from gattn.compare._yaml import Once

    try:
        return yaml.load(path.read_text(encoding="utf-8"), Loader=Once)  # a SafeLoader
    except yaml.YAMLError as error:
        raise ValueError(str(error)) from None


_READERS: dict[str, Callable[[Path], object]] = {
    ".toml": _toml,
    ".yaml": _yaml,
    ".yml": _yaml,
    ".json": _json,
}

"""Datasets by name, or by the path of a file of your own: `load(name) -> Task`.

Published files are looked for under `root`, in PyG's layout (`root/Cora/raw/ind.cora.x`), and
downloaded there when they are missing. Files that are there are only read, so `root` may be
read-only. `karate` comes with PyG and needs no file, nor do the generated tasks, whose answer is
known: `minesweeper`, `shell-majority`, `far-heterophily`, `dictionary-lookup`,
`tree-neighbors-match`, `keyed-shell-lookup`, `max-retrieval`, `inner-lookup` and `cluster-lookup`.
The folder `datasets/` of the repository has a card for every name: source, licence, checksum,
sizes, splits or recipe.

What is no name may be a path: see `gattn.data.own`.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import partial
from pathlib import Path

from gattn.data.amazon_coauthor import amazon_coauthor
from gattn.data.belief_propagation import Attainable as Attainable
from gattn.data.belief_propagation import attainable_auc as attainable_auc
from gattn.data.belief_propagation import mine_log_odds as mine_log_odds
from gattn.data.bipartite import dictionary_lookup, max_retrieval
from gattn.data.clusters import cluster_lookup
from gattn.data.encodings import ENCODINGS as ENCODINGS
from gattn.data.encodings import encoded as encoded
from gattn.data.files import DatasetError as DatasetError
from gattn.data.heterophilous import heterophilous
from gattn.data.karate import karate
from gattn.data.lookup import attainable_accuracy as attainable_accuracy
from gattn.data.lookup import inner_lookup, keyed_shell_lookup
from gattn.data.own import fingerprint, is_path, one_of_endings
from gattn.data.own import load_own as load_own
from gattn.data.planetoid import planetoid
from gattn.data.synthetic import far_heterophily, minesweeper, shell_majority
from gattn.data.task import Task as Task
from gattn.data.trees import tree_neighbors_match

_FROM_FILES: dict[str, Callable[..., Task]] = {
    "cora": partial(planetoid, "Cora"),
    "citeseer": partial(planetoid, "CiteSeer"),
    "pubmed": partial(planetoid, "PubMed"),
    "roman-empire": partial(heterophilous, "roman-empire", "roman_empire", "accuracy"),
    "amazon-ratings": partial(heterophilous, "amazon-ratings", "amazon_ratings", "accuracy"),
    "minesweeper-file": partial(heterophilous, "minesweeper-file", "minesweeper", "roc_auc"),
    "tolokers": partial(heterophilous, "tolokers", "tolokers", "roc_auc"),
    "questions": partial(heterophilous, "questions", "questions", "roc_auc"),
    "chameleon-filtered": partial(
        heterophilous, "chameleon-filtered", "chameleon_filtered", "accuracy"
    ),
    "squirrel-filtered": partial(
        heterophilous, "squirrel-filtered", "squirrel_filtered", "accuracy"
    ),
    "photo": partial(amazon_coauthor, "Photo"),
    "computers": partial(amazon_coauthor, "Computers"),
    "cs": partial(amazon_coauthor, "CS"),
    "physics": partial(amazon_coauthor, "Physics"),
}

_WITHOUT_FILES: dict[str, Callable[..., Task]] = {
    "karate": karate,
    "minesweeper": minesweeper,
    "shell-majority": shell_majority,
    "far-heterophily": far_heterophily,
    "dictionary-lookup": dictionary_lookup,
    "tree-neighbors-match": tree_neighbors_match,
    "keyed-shell-lookup": keyed_shell_lookup,
    "max-retrieval": max_retrieval,
    "inner-lookup": inner_lookup,
    "cluster-lookup": cluster_lookup,
}

NAMES: tuple[str, ...] = (*_FROM_FILES, *_WITHOUT_FILES)
"""Every name that `load` knows."""


def check_name(name: str, argument: str = "name") -> None:
    """Checks that a dataset has this name, or that it is a path, whether or not a file is there.

    Args:
        name: of a dataset, or a path.
        argument: what to call it.

    Raises:
        DatasetError: if it is neither.
    """
    if name not in NAMES and not is_path(name):
        expected = f"one of {', '.join(NAMES)}, or a folder, or a file {one_of_endings()}"
        raise DatasetError(f"{argument}: found {name!r}, expected {expected}")


def content_of(name: str, **options: object) -> str | None:
    """The sha256 of the files of a path; None for a name, which says it all.

    Args:
        name: of a dataset, or a path.
        **options: as for `load`.

    Raises:
        DatasetError: if a file is missing.
    """
    return None if name in NAMES else fingerprint(name, **options)


def load(name: str, root: str | Path | None = None, **options: object) -> Task:
    """Loads or generates a dataset, or reads a file of your own.

    Example:
        >>> load("minesweeper", size=20).num_nodes
        400

    Args:
        name: one of `NAMES`, or the path of a file or folder, see `gattn.data.own`.
        root: the folder of all datasets; `None` is `~/.cache/gattn`. Generated datasets and paths
            ignore it.
        **options: of the dataset's family, for example `normalize_features` (`cora`), `size` and
            `seed` (`minesweeper`), `download` (all that have files); of a path see
            `gattn.data.own.OwnOptions`.

    Raises:
        DatasetError: if the name or an option is unknown, or files are missing, unknown or damaged.
        TypeError: if an option has the wrong type.
        ValueError: if an option is out of range.
    """
    check_name(name)
    loader = _FROM_FILES.get(name) or _WITHOUT_FILES.get(name)
    if loader is None:
        return load_own(name, **options)
    _check_options(name, loader, options)
    return loader(root, **options) if name in _FROM_FILES else loader(**options)


def _check_options(name: str, loader: Callable[..., Task], options: dict[str, object]) -> None:
    parameters = inspect.signature(loader).parameters
    known = [option for option in parameters if option != "root"]
    for option, value in options.items():
        if option not in known:
            expected = f"one of {', '.join(known)}" if known else "none"
            raise DatasetError(f"options: found {option!r} for {name}, expected {expected}")
        if isinstance(parameters[option].default, bool) and not isinstance(value, bool):
            raise TypeError(f"{option}: found {value!r}, expected True or False")

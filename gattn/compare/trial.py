"""One cell of a study: `Trial` says what is trained, `run_trial` trains it and returns a row."""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, fields, replace
from datetime import UTC, datetime
from os import PathLike
from pathlib import Path
from typing import Any

import torch
import torch_geometric
from torch import Tensor, nn

import gattn
from gattn import _check as check
from gattn.compare.breadth import Breadth, breadth_of, hops_of, kind_of, reach_of
from gattn.compare.classics import NORMS
from gattn.compare.curve import curve
from gattn.compare.models import MODELS, NORMALIZERS, SCORES, Setting
from gattn.compare.surroundings import Structure as Structure
from gattn.compare.surroundings import needs_clusters, num_pairs
from gattn.compare.training import build_structure as build_structure
from gattn.compare.training import trained
from gattn.data import ENCODINGS, NAMES, DatasetError, Task, check_name, content_of, encoded, load
from gattn.inspection import summary
from gattn.metrics import BETTER_MORE
from gattn.nn.diffusion import READOUTS
from gattn.train import Epoch, Settings, TensorBoard

_OF_MODEL: dict[str, tuple[Any, ...]] = {
    "readout": READOUTS,
    "norm": NORMS,
    "residual": (False, True),
    "pre_linear": (None, False, True),
}
"""Settings of some models only, with what they may be."""
_OF_ROUNDS = ("restart", "attention_dropout", "feature_dropout")
_OF_TRAINING = tuple(field.name for field in fields(Settings))[5:]
"""Settings of training that the first rows had not: None stands for what `Settings` has."""
_DECIMALS = ("dropout", "lr", "weight_decay", "clip", "lr_factor", "label_smoothing")
_DECIMALS += ("hide", "fill")
"""Written as decimals whatever they are given as, so that equal trials have one key."""
_FIRST = frozenset(
    (
        *("dataset", "model", "breadth", "depth", "options", "score", "normalizer", "layers"),
        *("hidden", "heads", "dropout", "epochs", "lr", "weight_decay", "optimizer", "patience"),
        *("seed", "split"),
    )
)
"""The settings that the first rows had."""

FARTHEST = 5
"""Hops that are told apart where all nodes attend to all; one more is whatever is farther."""

Row = dict[str, Any]
"""A flat JSON object: the settings of a trial and what came out of it."""


@dataclass(frozen=True)
class Trial:
    """What is trained, and how; two equal trials have one `key`.

    Args:
        dataset: a name of `gattn.data.NAMES`, or the path of a graph of your own.
        model: a name of `gattn.compare.MODELS`.
        breadth: hops that a node looks, 0 for itself only; or `learned`, `diffusion`, `full`, as
            `gattn.compare.breadth` has them.
        depth: nested attentions of a layer, a number of `gattn.nn.DEPTHS`.
        options: of the dataset, pairs of a name and a value, such as `(("size", 40),)`.
        score: a name of `SCORES`, None for models with a score of their own.
        normalizer: a name of `NORMALIZERS`, None likewise.
        layers: layers of the network.
        hidden: width of the network; for the classic models channels of one head.
        heads: attention heads of a layer.
        dropout: of features and attention weights, as the model applies it.
        epochs: see `gattn.train.Settings`, as for the next four.
        lr: learning rate.
        weight_decay: of the optimiser.
        optimizer: its name.
        patience: epochs without improvement before an early stop, or None.
        seed: of the parameters and the training.
        split: of the dataset, None for the seed modulo the number of splits.
        restart: of `gattn.nn.DiffusionAttention`, None for other models, as for the next two.
        attention_dropout: of its weights, where `dropout` is of the features before a layer only.
        feature_dropout: in its rounds.
        encoding: of positions, joined to the features: a name of `gattn.data.ENCODINGS`, or None.
        dataset_sha256: of the content of a path, which stands for the path in the key: a changed
            file is another dataset, a moved one is the same. None reads it from the file.
        monitor: see `gattn.train.Settings`, as for the rest; None stands for its usual value.
        clip: the largest norm of the gradient.
        scheduler: of the learning rate.
        lr_factor: of the scheduler.
        lr_every: of the scheduler.
        warmup: epochs before the full learning rate.
        label_smoothing: in the loss.
        precision: of the computation.
        readout: of rounds, "last" or "gate"; None for other models, as for the next three.
        norm: after a layer: "layer", "batch" or "none".
        residual: whether a layer's input is added to its output.
        pre_linear: whether a linear layer comes before the first of attention.
        region: radius of the balls that are trained on.
        halo: of them.
        steps: of an epoch.
        hide: the largest share of nodes whose features a training step hides, and has filled in
            again (`gattn.nn.FillingIn`); None hides none.
        fill: the weight of that; None stands for 1.
        batch_size: training nodes of a step.
        num_neighbors: of a node in each hop of a batch.
        judged_by: a metric that is better where it is more, a name of `gattn.metrics.METRICS`,
            instead of the dataset's; None for that.

    Raises:
        TypeError: a number has the wrong type.
        ValueError: an unknown name or a number out of its range.
    """

    dataset: str
    model: str = "attention"
    breadth: Breadth = 1
    depth: int = 1
    options: tuple[tuple[str, Setting], ...] = ()
    score: str | None = None
    normalizer: str | None = None
    layers: int = 2
    hidden: int = 8
    heads: int = 8
    dropout: float = 0.6
    epochs: int = 200
    lr: float = 0.005
    weight_decay: float = 5e-4
    optimizer: str = "adam"
    patience: int | None = None
    seed: int = 0
    split: int | None = None
    encoding: str | None = None
    restart: float | None = None
    attention_dropout: float | None = None
    feature_dropout: float | None = None
    dataset_sha256: str | None = None
    monitor: str | None = None
    clip: float | None = None
    scheduler: str | None = None
    lr_factor: float | None = None
    lr_every: int | None = None
    warmup: int | None = None
    label_smoothing: float | None = None
    precision: str | None = None
    readout: str | None = None
    norm: str | None = None
    residual: bool | None = None
    pre_linear: bool | None = None
    region: int | None = None
    halo: int | None = None
    steps: int | None = None
    hide: float | None = None
    fill: float | None = None
    batch_size: int | None = None
    num_neighbors: tuple[int, ...] | None = None
    judged_by: str | None = None

    @classmethod
    def of(cls, dataset: str, model: str = "attention", **changes: Any) -> Trial:
        """Return a trial with the model's usual settings, save for the changes given."""
        check.one_of("model", model, tuple(MODELS))
        return cls(dataset, model, **{**MODELS[model].recipe, **changes})

    def __post_init__(self) -> None:
        self._check_dataset()
        check.one_of("model", self.model, tuple(MODELS))
        object.__setattr__(self, "options", tuple(sorted(self.options)))
        object.__setattr__(self, "breadth", breadth_of(self.breadth))
        self._check_breadth()
        for name in _DECIMALS:
            if (value := getattr(self, name)) is not None:
                object.__setattr__(self, name, check.number(name, value, "a number"))
        for name in _OF_ROUNDS:
            self._check_share(name)
        for name in _OF_TRAINING:
            if getattr(self, name) == getattr(Settings, name):
                object.__setattr__(self, name, None)  # equal trainings have one key
        self._check_numbers()
        self._check_parts()
        self._check_batches()

    def _check_dataset(self) -> None:
        check_name(self.dataset, "dataset")
        if self.dataset in NAMES and self.dataset_sha256 is not None:
            found = f"{self.dataset_sha256!r} for {self.dataset}"
            raise ValueError(f"dataset_sha256: found {found}, expected none for a name")
        if self.dataset_sha256 is None:
            content = content_of(self.dataset, **dict(self.options))
            object.__setattr__(self, "dataset_sha256", content)

    def _check_numbers(self) -> None:
        for name, low in {"layers": 1, "hidden": 1, "heads": 1, "seed": 0}.items():
            check.integer(name, getattr(self, name), low)
        check.fraction("dropout", self.dropout)
        if self.split is not None:
            check.integer("split", self.split, 0)
        self._check_hiding()
        if self.num_neighbors is not None:
            object.__setattr__(self, "num_neighbors", self.settings().num_neighbors)
        if self.judged_by is not None:
            check.one_of("metric", self.judged_by, BETTER_MORE)
        self.settings()

    def _check_hiding(self) -> None:
        if self.hide is not None:
            object.__setattr__(self, "hide", check.fraction("hide", self.hide))
            weight = 1.0 if self.fill is None else self.fill
            object.__setattr__(self, "fill", check.positive("fill", weight))
        elif self.fill is not None:
            raise ValueError(f"fill: found {self.fill}, expected none where none is hidden")

    def _check_batches(self) -> None:
        """Batches hold what is within some hops, one number of neighbours for each."""
        if self.batch_size is None:
            return
        if reach_of(self.breadth) is None or needs_clusters(self.depth):
            found = f"{self.batch_size} with breadth {self.breadth} and depth {self.depth}"
            raise ValueError(f"batch_size: found {found}, which see the whole graph, expected None")
        if self.num_neighbors is not None and len(self.num_neighbors) != self.reach():
            expected = f"{self.reach()}, layers times hops of each"
            raise ValueError(
                f"num_neighbors: found {len(self.num_neighbors)} numbers, expected {expected}"
            )

    def reach(self) -> int:
        """Return how many hops the model looks in all; 0 also where it sees everything."""
        return self.layers * (reach_of(self.breadth) or 0)

    def _check_breadth(self) -> None:
        kind, kinds = kind_of(self.breadth), MODELS[self.model].kinds
        if kind not in kinds:
            expected = " or ".join(("a number of hops", *kinds[1:]))
            raise ValueError(
                f"breadth: found {self.breadth} for the model {self.model}, expected {expected}"
            )
        if kind == "diffusion" and self.restart is None:
            object.__setattr__(self, "restart", 0.1)

    def _check_parts(self) -> None:
        depths, of = MODELS[self.model].depths, f"the model {self.model}"
        if kind_of(self.breadth) == "diffusion" or hops_of(self.breadth) is None:
            # Without distances there are no rings, and a round has one level.
            depths, of = depths[:1], f"the breadth {self.breadth}"
        if self.depth not in depths:
            expected = " or ".join(map(str, depths))
            raise ValueError(f"depth: found {self.depth} for {of}, expected {expected}")
        for name in MODELS[self.model].fixed:
            found, expected = getattr(self, name), MODELS[self.model].recipe[name]
            if found != expected:
                raise ValueError(
                    f"{name}: found {found} for the model {self.model}, expected {expected}"
                )
        for name, choices in (("score", SCORES), ("normalizer", NORMALIZERS)):
            self._check_part(name, choices)
        for name, choices in _OF_MODEL.items():
            self._check_part(name, choices)
        if self.pre_linear is False:
            object.__setattr__(self, "pre_linear", None)  # younger than the first stacks' rows
        if self.encoding is not None:
            check.one_of("encoding", self.encoding, tuple(ENCODINGS))

    def _check_part(self, name: str, choices: Iterable[Any]) -> None:
        value = getattr(self, name)
        if name in MODELS[self.model].recipe:
            check.one_of(name, value, tuple(choices))
        elif value is not None:
            raise ValueError(
                f"{name}: found {value!r} for the model {self.model}, which has its own, "
                "expected none"
            )

    def _check_share(self, name: str) -> None:
        value, has = getattr(self, name), name in MODELS[self.model].recipe
        has |= name == "restart" and kind_of(self.breadth) == "diffusion"
        if has:
            object.__setattr__(self, name, check.fraction(name, value))
        elif value is not None:
            raise ValueError(f"{name}: found {value} for the model {self.model}, expected none")

    def key(self) -> str:
        """Return 16 hexadecimal digits that stand for the settings, the same in every process.

        A setting that is younger than the first rows counts only where it is not the usual one, so
        that older rows keep their keys. A path is left out, its content counts.
        """
        settings = asdict(self)
        if self.dataset_sha256 is not None:
            del settings["dataset"]
        for field in fields(self):
            if field.name not in _FIRST and settings[field.name] == field.default:
                del settings[field.name]
        text = json.dumps(settings, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def row(self) -> Row:
        """Return key and settings as a flat JSON object."""
        options = " ".join(f"{name}={value}" for name, value in self.options)
        return {"key": self.key(), **asdict(self), "options": options}

    def settings(self) -> Settings:
        """Return how the model is trained."""
        given = {field.name: getattr(self, field.name) for field in fields(Settings)}
        usual = {name for name in _OF_TRAINING if given[name] is None}
        return Settings(**{name: value for name, value in given.items() if name not in usual})


def load_task(trial: Trial, root: str | PathLike[str] | None = None) -> Task:
    """Return the trial's dataset, encoded if it says so; see `gattn.data.load`.

    Raises:
        DatasetError: a dataset that cannot be had, or a file whose content is not the trial's.
    """
    found = content_of(trial.dataset, **dict(trial.options))
    if found != trial.dataset_sha256:
        expected = f"{trial.dataset_sha256}, that of the trial: the file has changed"
        raise DatasetError(f"{trial.dataset}: found the sha256 {found}, expected {expected}")
    task = load(trial.dataset, None if root is None else str(root), **dict(trial.options))
    return task if trial.encoding is None else encoded(task, trial.encoding)


def run_trial(
    trial: Trial,
    task: Task,
    structure: Structure | None = None,
    *,
    device: str | torch.device = "cpu",
    checkpoint: str | PathLike[str] | None = None,
    progress: Callable[[Epoch], None] | None = None,
    tensorboard: str | PathLike[str] | None = None,
) -> Row:
    """Train one trial and return its row.

    Args:
        trial: what to train.
        task: the trial's dataset, on any device.
        structure: of `build_structure`, to be shared by trials of one breadth and like depths; None
            builds it.
        device: where to train.
        checkpoint: see `gattn.train.fit`.
        progress: called after every epoch.
        tensorboard: a folder, in which the trial gets one for TensorBoard, named by its key.

    Returns:
        The settings, validation and test metrics (fractions), seconds, parameters, peak memory in
        bytes (see `gattn.train.FitResult`), the learning curve (see `gattn.compare.curve`), pairs,
        what `gattn.inspection.summary` finds in the model, versions, the time.
    """
    structure = build_structure(trial, task) if structure is None else structure
    task = task if trial.judged_by is None else replace(task, metric=trial.judged_by)
    split = trial.seed % task.num_splits if trial.split is None else trial.split
    logger = None
    if tensorboard is not None:
        logger = TensorBoard(Path(tensorboard) / trial.key(), trial.row())
    model, result = trained(
        trial, task, structure, split, device, checkpoint, progress=progress, logger=logger
    )
    return {
        **trial.row(),
        "status": "ok",
        "split": split,
        "metric": task.metric,
        "val": result.val,
        "test": result.test,
        **{f"test_{name}": value for name, value in result.metrics.items()},
        "best_epoch": result.best_epoch,
        "epochs_run": result.epochs,
        "seconds": result.seconds,
        "seconds_per_epoch": result.seconds_per_epoch,
        "parameters": result.parameters,
        "peak_memory_bytes": result.peak_memory_bytes,
        "curve": curve(result.history, result.best_epoch),
        "nodes": task.num_nodes,
        "pairs": num_pairs(structure),
        **_inside(model, trial, task.to(device), structure.to(device)),
        **circumstances(device),
    }


def known_distances(trial: Trial, task: Task, structure: Structure) -> gattn.Sparse | None:
    """Return pairs with distances where those of the trial have none.

    Those are the edges of several hops that PyG's layers are given, and all nodes with all: there
    the distances up to `FARTHEST` are told apart. None where none are needed, or too many.

    Args:
        trial: whose breadth it is.
        task: its dataset.
        structure: of `build_structure`.
    """
    if isinstance(structure, Tensor) and trial.breadth != 1:
        hops = hops_of(trial.breadth)
    elif isinstance(structure, gattn.Span):
        hops = FARTHEST
    else:
        return None
    try:
        found = gattn.k_hop(task.edge_index.cpu(), hops or 0, task.num_nodes, streamed=False)
    except ValueError:
        return None  # too many pairs to write out
    return found.to(structure.device)


def _inside(model: nn.Module, trial: Trial, task: Task, structure: Structure) -> Row:
    """Return what the trained model attends to; a model that tells nothing fails no trial."""
    try:
        hops = known_distances(trial, task, structure)
        return summary(model, task.x, structure, hops=hops)
    except (ValueError, TypeError, RuntimeError, MemoryError):
        return dict.fromkeys(("hop_mass", "gate", "radius"))


def circumstances(device: str | torch.device) -> Row:
    """Return where, when and with which versions a row is made."""
    name = torch.cuda.get_device_name(device) if torch.device(device).type == "cuda" else "cpu"
    return {
        "device": name,
        "threads": torch.get_num_threads(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "torch_geometric": torch_geometric.__version__,
        "gattn": gattn.__version__,
        "finished_at": datetime.now(UTC).isoformat(timespec="seconds"),
    }

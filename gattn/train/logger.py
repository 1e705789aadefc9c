"""Curves of a training for TensorBoard, which is optional: `pip install 'gattn[tensorboard]'`."""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping
from typing import Any, Protocol

from gattn.train.records import Epoch, FitResult


class Logger(Protocol):
    """Told about a training: every epoch, also those of a checkpoint, and the end."""

    def epoch(self, epoch: Epoch) -> None:
        """An epoch has ended."""

    def finished(self, result: FitResult) -> None:
        """The training has ended."""


class Silent:
    """A `Logger` that writes nothing."""

    def epoch(self, epoch: Epoch) -> None:
        """An epoch has ended."""

    def finished(self, result: FitResult) -> None:
        """The training has ended."""


class TensorBoard:
    """A `Logger` that writes a folder for TensorBoard.

    Scalars of every epoch are `loss/train`, `loss/val`, `metric/val`, `lr` and `seconds`; at the
    end `test/...`, one for each metric, and the settings as hyperparameters. A run that goes on
    from a checkpoint tells its first epochs again, into the same curves.

    Args:
        folder: of this run; folders beside each other are compared.
        about: settings, shown as hyperparameters; what is no number, text or bool is left out.

    Raises:
        ImportError: the package tensorboard is missing.
        OSError: the folder cannot be written.
    """

    def __init__(
        self, folder: str | os.PathLike[str], about: Mapping[str, Any] | None = None
    ) -> None:
        self.writer = _writer()(str(folder), purge_step=0)
        plain = (about or {}).items()
        self.about = {k: v for k, v in plain if isinstance(v, (bool, int, float, str))}

    def epoch(self, epoch: Epoch) -> None:
        """Write the scalars of an epoch."""
        scalars = {"loss/train": epoch.loss, "loss/val": epoch.val_loss, "metric/val": epoch.val}
        scalars["seconds"] = epoch.seconds
        if epoch.lr is not None:
            scalars["lr"] = epoch.lr
        for name, value in scalars.items():
            self.writer.add_scalar(name, value, epoch.number)

    def finished(self, result: FitResult) -> None:
        """Write the test metrics and the settings, and close the file."""
        test = {f"test/{name}": value for name, value in result.metrics.items()}
        for name, value in test.items():
            self.writer.add_scalar(name, value, result.best_epoch)
        if self.about:
            self.writer.add_hparams(self.about, test, run_name=".")
        self.writer.close()


def _writer() -> Any:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of what tensorboard imports
            from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        raise ImportError(
            "tensorboard: found none, expected it for logging: pip install 'gattn[tensorboard]'"
        ) from None
    return SummaryWriter

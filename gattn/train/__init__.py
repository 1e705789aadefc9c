"""Train a model on a node-classification task: `fit(model, task, structure)`.

The loop knows no layer: it calls `model(task.x, structure)`, whatever the structure is (an
edge_index, a Neighborhood), and expects logits `[N, K]`. It minimises the cross entropy of the
training nodes, plus what the modules of the model charge: `penalty()` of each that has one, such as
a learned span. It reports the test metrics of the best epoch by validation (`Settings.monitor`); of
equal epochs the earliest counts (the latest, with `monitor="both"`).
"""

from gattn.train.batches import BatchStructure as BatchStructure
from gattn.train.logger import Logger as Logger
from gattn.train.logger import TensorBoard as TensorBoard
from gattn.train.loop import fit as fit
from gattn.train.loop import seed_everything as seed_everything
from gattn.train.predict import predict as predict
from gattn.train.records import Epoch as Epoch
from gattn.train.records import FitResult as FitResult
from gattn.train.settings import MONITORS as MONITORS
from gattn.train.settings import OPTIMIZERS as OPTIMIZERS
from gattn.train.settings import PRECISIONS as PRECISIONS
from gattn.train.settings import SCHEDULERS as SCHEDULERS
from gattn.train.settings import Settings as Settings

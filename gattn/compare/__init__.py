"""Studies: train models over a grid of breadths and depths, keep rows, make tables and figures.

from gattn.compare import grid, markdown, run_study

trials = grid(dataset=["minesweeper"], breadth=[1, 2, 3], depth=[1, 2], seeds=3)
print(markdown(run_study(trials, "results")))
"""

from gattn.compare.budget import Budget as Budget
from gattn.compare.budget import seconds_of as seconds_of
from gattn.compare.cells import Cell as Cell
from gattn.compare.cells import cells as cells
from gattn.compare.grid import PRESETS as PRESETS
from gattn.compare.grid import grid as grid
from gattn.compare.models import MODELS as MODELS
from gattn.compare.models import NORMALIZERS as NORMALIZERS
from gattn.compare.models import SCORES as SCORES
from gattn.compare.plot import heat_map as heat_map
from gattn.compare.plot import reach as reach
from gattn.compare.progress import Watcher as Watcher
from gattn.compare.progress import progress_bar as progress_bar
from gattn.compare.recommend import Recommendation as Recommendation
from gattn.compare.recommend import pareto as pareto
from gattn.compare.recommend import recommend as recommend
from gattn.compare.recommend import recommendations as recommendations
from gattn.compare.report import sentences as sentences
from gattn.compare.report import write_report as write_report
from gattn.compare.run import attainable_rows as attainable_rows
from gattn.compare.run import read_rows as read_rows
from gattn.compare.run import run_study as run_study
from gattn.compare.statistics import Comparison as Comparison
from gattn.compare.statistics import compare_to_best as compare_to_best
from gattn.compare.statistics import holm as holm
from gattn.compare.statistics import interval as interval
from gattn.compare.statistics import paired_test as paired_test
from gattn.compare.statistics import verdicts as verdicts
from gattn.compare.table import markdown as markdown
from gattn.compare.table import print_table as print_table
from gattn.compare.table import rich_table as rich_table
from gattn.compare.trial import Row as Row
from gattn.compare.trial import Trial as Trial
from gattn.compare.trial import run_trial as run_trial

"""Published results and ours: `python -m gattn.compare.published [STUDY...] --out FOLDER`.

A study is one table: lines of a setting, or of a random search for one by validation, with the
published number and what is to be reached. Rows go to one `trials.jsonl` for each study, so that a
run which was stopped goes on; tables, the page and the figure are made from them.
"""

from gattn.compare.published.chameleon import CHAMELEON
from gattn.compare.published.citations import CITATIONS
from gattn.compare.published.known import DICTIONARY, SHELL, TREE
from gattn.compare.published.line import Line as Line
from gattn.compare.published.line import Search as Search
from gattn.compare.published.line import Study as Study
from gattn.compare.published.minesweeper import BREADTH, MINESWEEPER
from gattn.compare.published.photo import PHOTO

STUDIES: dict[str, Study] = {
    "citations": CITATIONS,
    "photo": PHOTO,
    "chameleon-filtered": CHAMELEON,
    "tree": TREE,
    "dictionary": DICTIONARY,
    "shell": SHELL,
    "minesweeper": MINESWEEPER,
    "minesweeper-breadth": BREADTH,
}
"""The studies by name, one module of this package for each."""

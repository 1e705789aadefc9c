"""Benchmarks: time layers of several libraries in turns, measure their memory, keep rows.

from gattn.benchmark import Plan, markdown, run

print(markdown(run(Plan(("cora",), rounds=5, quick=True, memory=False))))
"""

from gattn.benchmark.figure import figure as figure
from gattn.benchmark.plan import Plan as Plan
from gattn.benchmark.problems import PROBLEMS as PROBLEMS
from gattn.benchmark.problems import Layer as Layer
from gattn.benchmark.problems import Problem as Problem
from gattn.benchmark.providers import PROVIDERS as PROVIDERS
from gattn.benchmark.providers import Provider as Provider
from gattn.benchmark.providers import provider as provider
from gattn.benchmark.runner import run as run
from gattn.benchmark.table import markdown as markdown
from gattn.benchmark.table import print_table as print_table

"""What `gattn inspect` does: opens a checkpoint of a trial, looks inside, writes a page.

from gattn.compare.inspecting import findings, open_checkpoint, write_inspection

opened = open_checkpoint("checkpoints/0123456789abcdef.pt")
write_inspection(findings(opened), opened, "inside/")
"""

from gattn.compare.inspecting.checkpoint import Opened as Opened
from gattn.compare.inspecting.checkpoint import open_checkpoint as open_checkpoint
from gattn.compare.inspecting.numbers import Findings as Findings
from gattn.compare.inspecting.numbers import findings as findings
from gattn.compare.inspecting.shown import print_findings as print_findings
from gattn.compare.inspecting.shown import tables as tables
from gattn.compare.inspecting.written import write_inspection as write_inspection

"""The pictures of the documentation can be drawn again, and are those that it shows."""

import importlib.util
import re
from pathlib import Path

DOCS = Path(__file__).parents[1] / "docs"


def test_the_pictures_are_drawn_by_code(tmp_path):
    spec = importlib.util.spec_from_file_location("draw", DOCS / "pictures" / "draw.py")
    draw = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(draw)
    drawn = {path.name for path in draw.main(tmp_path) if path.stat().st_size > 5000}
    shown = set(re.findall(r"\(pictures/(\w+\.png)\)", (DOCS / "concepts.md").read_text()))
    assert drawn == shown == {path.name for path in (DOCS / "pictures").glob("*.png")}

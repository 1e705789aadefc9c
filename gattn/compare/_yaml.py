"""YAML as a study needs it: plain values, every key once, and 1e-3 a number."""

from __future__ import annotations

import re
from typing import Any

import yaml


class Once(yaml.SafeLoader):
    """PyYAML's safe loader, which refuses a key that is there twice, and aliases."""

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        """Construct a mapping whose keys are texts or numbers, each once."""
        seen: set[Any] = set()
        for key_node, _ in node.value:
            key = str(key_node.value)
            if key in seen:
                line = key_node.start_mark.line + 1
                raise yaml.YAMLError(f"the key {key!r} twice, in line {line}")
            seen.add(key)
        return super().construct_mapping(node, deep)

    def compose_node(self, parent: Any, index: Any) -> Any:
        """Refuse aliases: a few lines of them can stand for more than a memory holds."""
        if self.check_event(yaml.AliasEvent):
            line = self.peek_event().start_mark.line + 1
            raise yaml.YAMLError(f"an alias, in line {line}")
        return super().compose_node(parent, index)


# YAML 1.1 takes 1e-3 for text, since it has no point.
Once.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"^[-+]?\d+(\.\d*)?[eE][-+]?\d+$"), list("-+0123456789")
)

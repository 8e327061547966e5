"""Rule groups as the YAML that Prometheus reads."""

import json
from typing import Any

INDENT = "  "


def to_yaml(value: Any, depth: int = 0) -> str:
    """Of dicts, lists and texts. A text with several lines is a block, any other one as JSON has it."""
    margin = INDENT * depth
    if isinstance(value, dict):
        return "".join(f"{margin}{key}:{_nested(each, depth + 1)}" for key, each in value.items())
    assert isinstance(value, list)
    items = (to_yaml(each, depth + 1) for each in value)
    return "".join(f"{margin}- {item[len(margin) + len(INDENT) :]}" for item in items)


def _nested(value: Any, depth: int) -> str:
    if not isinstance(value, str):
        return "\n" + to_yaml(value, depth)
    if "\n" in value:
        return " |-\n" + "".join(f"{INDENT * depth}{line}\n" for line in value.split("\n"))
    return f" {value if value.isalnum() else json.dumps(value, ensure_ascii=False)}\n"

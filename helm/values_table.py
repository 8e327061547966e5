"""The table of values in the chart's README, made from the comments of values.yaml (`python helm/values_table.py`)."""

import json
from pathlib import Path
from typing import Any

import yaml

CHART = Path(__file__).parent / "xtts-serve"
README = CHART / "README.md"
BEGIN, END = "<!-- values: begin -->", "<!-- values: end -->"


class UndocumentedValue(Exception):
    """A value has no comment above it."""


def values_table() -> str:
    """A row for each value that can be set, with its default and the comment above it."""
    text = (CHART / "values.yaml").read_text(encoding="utf-8")
    lines = text.splitlines()
    root = yaml.compose(text)
    assert isinstance(root, yaml.MappingNode)
    rows = ["| value | default | meaning |", "| --- | --- | --- |"]
    for path, key, node in _leaves(root, (), _free_form()):
        default = json.dumps(yaml.safe_load(yaml.serialize(node)), ensure_ascii=False)
        rows.append(f"| `{'.'.join(path)}` | `{default}` | {_comment(lines, key.start_mark.line, path)} |")
    return "\n".join(rows)


def readme_with_table() -> str:
    before, _, rest = README.read_text(encoding="utf-8").partition(BEGIN)
    return f"{before}{BEGIN}\n{values_table()}\n{END}{rest.partition(END)[2]}"


def _free_form() -> set[tuple[str, ...]]:
    """Maps that the schema leaves to Kubernetes: each is one value."""
    found: set[tuple[str, ...]] = set()

    def visit(schema: dict[str, Any], path: tuple[str, ...]) -> None:
        if "properties" not in schema:
            found.add(path)
        for name, each in schema.get("properties", {}).items():
            visit(each, (*path, name))

    visit(json.loads((CHART / "values.schema.json").read_text(encoding="utf-8")), ())
    return found


def _leaves(
    mapping: yaml.MappingNode, path: tuple[str, ...], free_form: set[tuple[str, ...]]
) -> list[tuple[tuple[str, ...], yaml.Node, yaml.Node]]:
    found = []
    for key, value in mapping.value:
        here = (*path, key.value)
        if isinstance(value, yaml.MappingNode) and here not in free_form:
            found += _leaves(value, here, free_form)
        else:
            found.append((here, key, value))
    return found


def _comment(lines: list[str], line: int, path: tuple[str, ...]) -> str:
    """The lines of comment right above."""
    words: list[str] = []
    while line > 0 and lines[line - 1].strip().startswith("# "):
        line -= 1
        words.insert(0, lines[line].strip().removeprefix("# "))
    if not words:
        raise UndocumentedValue(".".join(path))
    return " ".join(words).replace("|", "\\|")


if __name__ == "__main__":
    README.write_text(readme_with_table(), encoding="utf-8")

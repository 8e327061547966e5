"""What is claimed of capacity comes from the records beside it."""

from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from loadtest.__main__ import app
from loadtest.capacity.files import RESULT
from loadtest.capacity.results import records_in, result_lines
from loadtest.capacity.summary import Loop

ROOT = Path(__file__).parents[3]
RECORDS = ROOT / "docs" / "capacity"


def test_the_readmes_table_is_printed_from_the_records() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert "\n".join(result_lines(records_in(RECORDS))) in readme


def test_every_record_has_its_page_and_its_raw_data() -> None:
    for file in RECORDS.glob(f"*/{RESULT}"):
        assert {"report.html", "requests.jsonl.gz"} <= {each.name for each in file.parent.iterdir()}
    for record in records_in(RECORDS):
        for loop in Loop:
            assert all(summary.num_requests for summary in record.summaries(loop))


def test_a_folder_without_records_is_told(tmp_path: Path) -> None:
    with pytest.raises(typer.BadParameter, match="holds no folder"):
        records_in(tmp_path)
    found = CliRunner().invoke(app, ["results", str(tmp_path)])
    assert found.exit_code == 2

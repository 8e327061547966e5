"""The OpenAPI document: what it promises holds for whatever a client sends, well-formed or not."""

import json
import os
import re
import time
from collections.abc import Generator
from typing import Any

import jsonschema
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import Case
from schemathesis.core.transport import Response

from serve_app.api.app import create_app
from serve_app.settings import Settings
from tests.api.conftest import Server, running
from tests.fakes import FakeBackend

MAX_ANSWER_S = 10.0
NUM_CASES = int(os.environ.get("SCHEMA_CASES", "5000"))
LIMITS = Settings(max_text_chars=400, max_streamed_chars=400, max_upload_bytes=200_000)
APP = create_app(FakeBackend(), LIMITS)
SCHEMA = schemathesis.openapi.from_asgi("/openapi.json", APP)
OPERATIONS = {f"{found.ok().method.upper()} {found.ok().path}": found.ok() for found in SCHEMA.get_all_operations()}


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Generator[Server]:
    """Jobs are kept and not spoken: whether a stream is left open is asked below."""
    places = {"voice_dir": tmp_path_factory.mktemp("voices"), "job_dir": tmp_path_factory.mktemp("jobs")}
    with running(LIMITS.model_copy(update={**places, "max_jobs_running": 0, "max_jobs": 100_000})) as server:
        yield server


def test_every_operation_says_what_its_errors_look_like() -> None:
    document = APP.openapi()
    assert "HTTPValidationError" not in document["components"]["schemas"]
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            for status in ("4XX", "5XX"):
                schema = operation["responses"][status]["content"]["application/json"]["schema"]
                assert schema == {"$ref": "#/components/schemas/ErrorResponse"}, f"{method} {path}"


def test_no_reference_of_the_document_leads_nowhere() -> None:
    document = APP.openapi()
    for reference in re.findall(r'"\$ref": "([^"]+)"', json.dumps(document)):
        target: Any = document
        for part in reference.removeprefix("#/").split("/"):
            target = target[part]


@pytest.mark.parametrize("name", OPERATIONS)
def test_few_cases_of_the_document_are_answered_as_it_says(name: str, live: Server) -> None:
    _ask(name, live, 20)


@pytest.mark.slow
@pytest.mark.timeout(1_800)
@pytest.mark.parametrize("name", OPERATIONS)
def test_thousands_of_cases_are_answered_as_it_says(name: str, live: Server) -> None:
    posts = [each for each in OPERATIONS if not each.startswith("GET ")]
    num_cases = NUM_CASES // len(posts) if name in posts else 50
    _ask(name, live, num_cases)


def _ask(name: str, live: Server, num_cases: int) -> None:
    """Bodies of the document's making, half of them wrong on purpose."""

    @given(case=OPERATIONS[name].as_strategy() | OPERATIONS[name].as_strategy(schemathesis.GenerationMode.NEGATIVE))
    @settings(
        max_examples=num_cases,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    def ask(case: Case) -> None:
        nonlocal num_asked
        started_s = time.perf_counter()
        answer = case.call(base_url=live.url, timeout=MAX_ANSWER_S)
        assert time.perf_counter() - started_s < MAX_ANSWER_S
        _check(answer)
        statuses.add(answer.status_code)
        num_asked += 1

    num_asked, statuses = 0, set[int]()
    ask()
    if name.startswith("POST "):
        assert num_asked >= num_cases and len(statuses) > 1
    assert live.backend.num_open_streams == 0


def _check(answer: Response) -> None:
    assert answer.status_code < 500, (answer.status_code, answer.text)
    if answer.status_code >= 400:
        error = answer.json()
        jsonschema.validate(error, {**ERROR, "components": APP.openapi()["components"]})
        assert error["error"]["message"] and error["error"]["code"]


ERROR: dict[str, Any] = {"$ref": "#/components/schemas/ErrorResponse"}

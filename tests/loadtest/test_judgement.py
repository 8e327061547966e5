"""What is judged as what."""

import json

import pytest

from loadtest.judgement import REQUEST_ID, MustBeReady, Outcome, judge
from loadtest.wire import Answer, End

UNREADY = {"status": "unavailable", "model": "mini"}
ERROR = {"error": {"code": "unavailable", "message": "the engine is gone", "status": 503}}


def answer(status: int, body: object, **headers: str) -> Answer:
    return Answer(
        sent_s=0.0,
        end=End.COMPLETE,
        status=status,
        headers={REQUEST_ID: "1", **{name.replace("_", "-"): value for name, value in headers.items()}},
        body=bytearray(json.dumps(body).encode()),
    )


@pytest.mark.parametrize(
    ("got", "while_killed", "else_"),
    [
        (answer(200, {"status": "ok"}), Outcome.OK, Outcome.OK),
        (answer(503, UNREADY), Outcome.UNAVAILABLE, Outcome.FAULT),
        (answer(503, ERROR, retry_after="1"), Outcome.UNAVAILABLE, Outcome.FAULT),
        (answer(503, ERROR), Outcome.FAULT, Outcome.FAULT),
        (answer(503, {"status": "ok"}), Outcome.FAULT, Outcome.FAULT),
        (answer(500, UNREADY), Outcome.FAULT, Outcome.FAULT),
    ],
    ids=["ready", "unready", "no engine", "no Retry-After", "contradicts itself", "500"],
)
def test_a_probe_may_hear_that_the_service_is_unready_while_an_engine_is_killed(
    got: Answer, while_killed: Outcome, else_: Outcome
) -> None:
    assert judge(MustBeReady(), "1", got, is_disrupted=True).outcome is while_killed
    assert judge(MustBeReady(), "1", got, is_disrupted=False).outcome is else_

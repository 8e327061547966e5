"""When another try is fair: where nothing but times failed."""

import pytest

from loadtest.verdict import Check, may_be_the_machine

FINE = Check("speech is right", True, "")
WRONG = Check("speech is right", False, "other audio")
LATE = Check("refused at once", False, "257 ms", is_time=True)


@pytest.mark.parametrize(
    ("checks", "expected"),
    [([FINE], False), ([FINE, LATE], True), ([WRONG], False), ([WRONG, LATE], False)],
    ids=["all passed", "late", "wrong", "wrong and late"],
)
def test_only_times_are_tried_again(checks: list[Check], expected: bool) -> None:
    assert may_be_the_machine(checks) is expected

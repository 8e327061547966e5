"""Nobody hears another: 40 requests at once, each with the audio of that request alone."""

import itertools

import numpy as np
import pytest

from tests.end_to_end.asking import Pcm, crowd
from tests.end_to_end.crowding import BAD_REQUESTS, run_crowd
from tests.end_to_end.serving import Server

pytestmark = pytest.mark.slow


def test_crowd_of_different_requests_sounds_different(heard_alone: list[Pcm]) -> None:
    for one, other in itertools.combinations(heard_alone, 2):
        assert len(one) != len(other) or np.abs(one.astype(int) - other).max() > 1_000


def test_crowd_hears_what_each_request_gives_alone(local_server: Server, heard_alone: list[Pcm]) -> None:
    outcome = run_crowd(local_server.url, crowd())
    for asked, alone, heard in zip(crowd(), heard_alone, outcome.heard, strict=True):
        np.testing.assert_array_equal(heard, alone, err_msg=str(asked))
    assert outcome.refused == [bad[2:] for bad in BAD_REQUESTS]

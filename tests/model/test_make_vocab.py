import json

from serve_app.model.make_vocab import NUM_TEXT_TOKENS, SPECIAL_TOKENS, VOCAB_FILE, make_vocab
from serve_app.model.tokenizer import read_vocabulary


def test_shipped_vocabulary_is_what_the_script_makes() -> None:
    assert json.loads(VOCAB_FILE.read_text(encoding="utf-8")) == make_vocab()


def test_special_tokens_have_their_ids() -> None:
    vocabulary = read_vocabulary(VOCAB_FILE)
    assert {token: vocabulary.token_to_id(token) for token in SPECIAL_TOKENS} == SPECIAL_TOKENS
    ids = vocabulary.get_vocab().values()
    assert len(set(ids)) == len(ids)
    assert max(ids) == NUM_TEXT_TOKENS - 1


def test_file_stays_small() -> None:
    assert VOCAB_FILE.stat().st_size < 300_000

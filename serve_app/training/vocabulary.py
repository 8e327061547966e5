"""The vocabulary file of a phoneme model, in the format of XTTS's vocab.json."""

from typing import Any

from serve_app.model.make_vocab import vocabulary_document
from serve_app.training.phonemes import all_tokens

SPECIAL_TOKENS = ("[STOP]", "[UNK]", "[SPACE]", "[START]", "[en]")


def phoneme_vocabulary() -> dict[str, Any]:
    """As the JSON document that `tokenizers.Tokenizer.from_file` reads: one id a phone, merges make diphthongs and
    stressed vowels of their characters."""
    tokens = [token for token in all_tokens() if token != " "]
    characters = sorted({character for token in tokens for character in token})
    whole = [token for token in tokens if len(token) > 1]
    entries = [*SPECIAL_TOKENS, *characters, *sorted(whole, key=len)]
    vocab = {token: number for number, token in enumerate(entries)}
    merges = [[token[:1], token[1:]] for token in sorted(whole, key=lambda each: (each.startswith("ˈ"), len(each)))]
    return vocabulary_document(vocab, merges, SPECIAL_TOKENS)

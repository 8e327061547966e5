"""The vocabulary file of a phoneme model, in the format of XTTS's vocab.json."""

from typing import Any

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
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [{"id": vocab[token], "content": token, **flags} for token in SPECIAL_TOKENS],
        "normalizer": None,
        "pre_tokenizer": {"type": "Whitespace"},
        "post_processor": None,
        "decoder": None,
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": "[UNK]",
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": False,
            "vocab": vocab,
            "merges": merges,
        },
    }

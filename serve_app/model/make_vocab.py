"""Writes the vocabulary of the synthetic models: `python -m serve_app.model.make_vocab [FILE]`.

The result ships as `data/vocab.json`: XTTS v2's file format and special tokens, learned from our own samples.
"""

import json
import logging
import sys
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer
from tokenizers.models import BPE
from tokenizers.pre_tokenizers import Whitespace
from tokenizers.trainers import BpeTrainer

logger = logging.getLogger(__name__)

VOCAB_FILE = Path(__file__).parent / "data" / "vocab.json"
SAMPLES_FILE = Path(__file__).parent / "data" / "vocab_samples.txt"
NUM_TEXT_TOKENS = 6_681  # rows of the text embedding in XTTS v2's published config.json; the last id is [hi]
MAX_MERGES = 1_200
MAX_TOKEN_CHARS = 4

# Ids as in XTTS v2: STOP 0 and START 261 are constants of its architecture, the others are free.
SPECIAL_TOKENS = {
    "[STOP]": 0, "[UNK]": 1, "[SPACE]": 2, "[en]": 259, "[de]": 260, "[START]": 261, "[fr]": 262, "[ru]": 267,
    "[es]": 284, "[it]": 285, "[pt]": 286, "[cs]": 293, "[pl]": 294, "[tr]": 295, "[nl]": 297, "[ar]": 5022,
    "[zh-cn]": 5023, "[ja]": 5412, "[hu]": 5753, "[ko]": 6152, "[hi]": NUM_TEXT_TOKENS - 1,
}  # fmt: skip

# What the languages' cleaners leave: Chinese arrives as pinyin with tone digits, Japanese and Korean in Latin letters.
ALPHABETS = {
    "latin": "abcdefghijklmnopqrstuvwxyz0123456789",
    "capitals": "ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÜ",  # numbers are spelled after the lower-casing: German "Komma"
    "diacritics": "àáâãäåāăąæçćčďđèéêëēėęěğìíîïīįıłñńňòóôõöøōőœřśşšșťțùúûüūůűýÿźżžßºª\u0307",
    "cyrillic": "абвгдеёжзийклмнопрстуфхцчшщъыьэюяіїєґ",
    "arabic": "ءآأؤإئابةتثجحخدذرزسشصضطظعغـفقكلمنهوىيًٌٍَُِّْٰپچگڤ٠١٢٣٤٥٦٧٨٩",
    "devanagari": "".join(map(chr, [*range(0x0901, 0x093A), *range(0x093C, 0x094E), 0x0950, *range(0x0958, 0x0970)])),
    "punctuation": ".,!?;:'\"()-–—…‘’“”„«»¿¡/&%+=*_~<>[]{}|\\^`#@$£°€§·،؛؟।॥",
    "wide punctuation": "，。！？；：、（）「」『』《》〈〉【】・～",
}


def make_vocab() -> dict[str, Any]:
    """The vocabulary as the JSON document that `tokenizers.Tokenizer.from_file` reads."""
    trainer = BpeTrainer(
        vocab_size=MAX_MERGES + len(set("".join(ALPHABETS.values()))),
        min_frequency=2,
        initial_alphabet=sorted(set("".join(ALPHABETS.values()))),
        max_token_length=MAX_TOKEN_CHARS,
        show_progress=False,
    )
    learner = Tokenizer(BPE())
    learner.pre_tokenizer = Whitespace()
    learner.train_from_iterator(SAMPLES_FILE.read_text(encoding="utf-8").splitlines(), trainer)
    learned = json.loads(learner.to_str())["model"]
    free_ids = (i for i in range(NUM_TEXT_TOKENS) if i not in SPECIAL_TOKENS.values())
    vocab = SPECIAL_TOKENS | dict(
        zip(sorted(learned["vocab"], key=learned["vocab"].__getitem__), free_ids, strict=False)
    )
    return vocabulary_document(vocab, learned["merges"], SPECIAL_TOKENS)


def vocabulary_document(
    vocab: Mapping[str, int], merges: Sequence[Sequence[str]], special_tokens: Collection[str]
) -> dict[str, Any]:
    """A file in the format of XTTS's vocab.json: byte-pair merges over words, special tokens met whole."""
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [{"id": vocab[token], "content": token, **flags} for token in special_tokens],
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
            "vocab": dict(vocab),
            "merges": [list(merge) for merge in merges],
        },
    }


def main() -> None:
    path = Path(sys.argv[1]) if len(sys.argv) > 1 else VOCAB_FILE
    path.write_text(json.dumps(make_vocab(), ensure_ascii=False, indent=None) + "\n", encoding="utf-8")
    logger.info("wrote %s (%d bytes)", path, path.stat().st_size)


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    main()

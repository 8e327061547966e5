"""A phoneme string and its tokens: the vocabulary of a phoneme model, and a teacher's phones laid onto our own."""

import difflib
import re
from collections.abc import Sequence
from dataclasses import dataclass

from serve_app.model.pronunciation import IPA, PAUSES, SCHWA, STRESS, VOWELS

_TOKEN = re.compile(rf"{STRESS}?(?:aʊ|aɪ|ɔɪ|[^{STRESS}])")


def split_tokens(ipa: str) -> list[str]:
    """One token a phone: a vowel's stress mark and a diphthong's two letters belong together."""
    return _TOKEN.findall(ipa)


def all_tokens() -> list[str]:
    """Every token that `split_tokens` may give, in a fixed order."""
    vowels = sorted(VOWELS)
    consonants = sorted(set(IPA.values()) - VOWELS)
    return [" ", *PAUSES, *consonants, *vowels, *(STRESS + vowel for vowel in vowels if vowel != SCHWA)]


def is_phone(token: str) -> bool:
    return token != " " and token not in PAUSES


@dataclass(frozen=True)
class TimedToken:
    """A token and where its sound ends, in seconds from the start of the recording. A token may have no time of its
    own: then it ends where the one before it does."""

    token: str
    end_s: float


@dataclass(frozen=True)
class TimedPhone:
    """What a teacher said: a phone in our symbols without stress, or "" for a pause."""

    phone: str
    start_s: float
    end_s: float


def lay_onto(tokens: Sequence[str], said: Sequence[TimedPhone]) -> tuple[list[TimedToken], float]:
    """Our tokens with the teacher's phones and times in place of our own phones; and the share of phones that differ.

    Word boundaries, pauses and stress are ours; where the teacher has another phone, its phone counts, since that is
    what is heard.
    """
    ours = [(index, token.removeprefix(STRESS)) for index, token in enumerate(tokens) if is_phone(token)]
    theirs = [phone for phone in said if phone.phone]
    matcher = difflib.SequenceMatcher(None, [phone for _, phone in ours], [p.phone for p in theirs], autojunk=False)
    placed: dict[int, list[TimedPhone]] = {}
    num_different = 0
    for kind, low, high, start, stop in matcher.get_opcodes():
        if kind != "equal":
            num_different += max(high - low, stop - start)
        for offset, phone in enumerate(theirs[start:stop]):
            at = min(low + offset, max(high - 1, low))
            index = ours[at][0] if at < len(ours) else len(tokens) - 1
            placed.setdefault(index, []).append(phone)
    timed: list[TimedToken] = []
    end_s = 0.0
    for index, token in enumerate(tokens):
        if not is_phone(token):
            timed.append(TimedToken(token, end_s))
        is_stressed = token.startswith(STRESS)
        for phone in placed.get(index, ()):
            if phone.start_s > end_s + 1e-6 and timed:  # a pause before it belongs to the boundary
                timed[-1] = TimedToken(timed[-1].token, phone.start_s)
            mark = STRESS if is_stressed and phone.phone in VOWELS and phone.phone != SCHWA else ""
            timed.append(TimedToken(mark + phone.phone, phone.end_s))
            end_s = phone.end_s
            is_stressed = is_stressed and not mark
    return timed, num_different / max(1, len(ours))

"""A small part of SSML 1.1 (W3C) → parts of plain text, each with the silence before it and its speed.

Knows no voice and no route. What is not understood is refused; entities and document types are never read.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from xml.parsers import expat

from serve_app.errors import EmptyText, RequestError
from serve_app.text.languages import primary_subtag
from serve_app.text.pauses import MAX_PAUSE_S, MAX_PAUSES_S
from serve_app.text.reading.spelling import say_as

MAX_DEPTH = 20
MAX_PARTS = 500
MIN_SPEED, MAX_SPEED = 0.5, 2.0

_UNDERSTOOD = "speak, p, s, break, prosody (rate), say-as (interpret-as) and sub (alias)"
_ATTRIBUTES = {
    "speak": {"version", "xmlns", "xml:lang", "xmlns:xsi", "xsi:schemaLocation"},
    "p": {"xml:lang"},
    "s": {"xml:lang"},
    "break": {"time", "strength"},
    "prosody": {"rate"},
    "say-as": {"interpret-as"},
    "sub": {"alias"},
}
_RATES = {"x-slow": 0.6, "slow": 0.8, "medium": 1.0, "default": 1.0, "fast": 1.25, "x-fast": 1.6}
_STRENGTHS = {"none": 0.0, "x-weak": 0.1, "weak": 0.25, "medium": 0.5, "strong": 1.0, "x-strong": 1.5}
_RATE = re.compile(r"(\d{1,4}(?:\.\d{1,6})?)(%?)")
_TIME = re.compile(r"\+?(\d{1,6}(?:\.\d{1,6})?)(ms|s)")
_TAG = re.compile(r"<[^<>]*>")
_BLANK_LINE = "\n\n"  # the end of a sentence to `normalize`


@dataclass(frozen=True)
class SsmlPart:
    """Text that is read at one speed, and the silence before it. A silence at the end is a mark in the last text."""

    text: str
    pause_s: float
    speed: float


def read_ssml(text: str, language: str) -> tuple[SsmlPart, ...]:
    """Raises `RequestError` (field "text") for what is no XML, too deep, too much or not understood; `EmptyText`."""
    reader = _Reader(primary_subtag(language))
    parser = expat.ParserCreate()
    parser.buffer_text = True
    parser.StartElementHandler = reader.start
    parser.EndElementHandler = reader.end
    parser.CharacterDataHandler = reader.characters
    parser.StartDoctypeDeclHandler = _refuse_document_type
    parser.EntityDeclHandler = _refuse_document_type
    parser.ProcessingInstructionHandler = _refuse_instruction
    try:
        parser.Parse(text.encode("utf-8", "replace"), True)
    except expat.ExpatError as error:
        raise _refusal(f"the text is no well-formed SSML: {error}; close every element and write & as &amp;") from None
    return reader.finished()


def without_tags(text: str) -> str:
    """What is left to guess the language by."""
    return _TAG.sub(" ", text)


class _Reader:
    """What expat's events add up to."""

    def __init__(self, language: str) -> None:
        self._language = language
        self._open: list[str] = []
        self._speeds = [1.0]
        self._parts: list[SsmlPart] = []
        self._pieces: list[str] = []
        self._pause_s = 0.0
        self._sum_pauses_s = 0.0
        self._said_as = ""
        self._held: list[str] | None = None  # what say-as or sub holds

    def start(self, name: str, attributes: Mapping[str, str]) -> None:
        _check_element(name, attributes)
        if (name == "speak") == bool(self._open):
            raise _refusal("SSML is one <speak> element with all the rest in it; write <speak>…</speak>")
        if len(self._open) >= MAX_DEPTH:
            raise _refusal(f"the SSML's elements are nested more than {MAX_DEPTH} deep; make it flatter")
        if self._held is not None:
            raise _refusal(f"<{self._open[-1]}> holds text alone; take <{name}> out of it")
        self._open.append(name)
        if name == "break":
            self._add_pause(_pause_s(attributes))
        elif name == "prosody":
            self._set_speed(self._speeds[-1] * _rate(_needed(name, attributes, "rate")))
        elif name == "say-as":
            self._said_as, self._held = _needed(name, attributes, "interpret-as"), []
        elif name == "sub":
            self._pieces.append(_needed(name, attributes, "alias"))
            self._held = []

    def end(self, name: str) -> None:
        self._open.pop()
        if name in ("p", "s"):
            self._pieces.append(_BLANK_LINE)
        elif name == "prosody":
            self._close_part()
            self._speeds.pop()
        elif name == "say-as":
            self._pieces.append(self._say_held())
            self._held = None
        elif name == "sub":
            self._held = None

    def characters(self, text: str) -> None:
        if self._held is not None:
            self._held.append(text)
        elif self._open[-1] != "break":
            self._pieces.append(text)
        elif text.strip():
            raise _refusal("<break/> holds no text; write it as <break time='500ms'/>")

    def finished(self) -> tuple[SsmlPart, ...]:
        self._close_part()
        if not self._parts:
            raise EmptyText("the SSML holds no text; send at least a word", field="text")
        if self._pause_s:
            last = self._parts[-1]
            self._parts[-1] = SsmlPart(f"{last.text}[pause:{self._pause_s:.3f}]", last.pause_s, last.speed)
        return tuple(self._parts)

    def _say_held(self) -> str:
        held = "".join(self._held or ())
        said = say_as(held.strip(), self._said_as, self._language)
        if said is None:
            kinds = "characters, spell-out, cardinal, ordinal, date, time, telephone and digits"
            raise _refusal(f"interpret-as={self._said_as[:40]!r} is not understood; {kinds} are")
        return said

    def _add_pause(self, pause_s: float) -> None:
        self._close_part()
        self._pause_s = min(self._pause_s + pause_s, MAX_PAUSE_S)
        self._sum_pauses_s += pause_s
        if self._sum_pauses_s > MAX_PAUSES_S:
            raise _refusal(f"the breaks of a text may be {MAX_PAUSES_S:.0f} s together; split the text")

    def _set_speed(self, speed: float) -> None:
        if not MIN_SPEED <= speed <= MAX_SPEED:
            raise _refusal(f"a rate of {speed:g} is not spoken; keep it between {MIN_SPEED:g} and {MAX_SPEED:g}")
        self._close_part()
        self._speeds.append(speed)

    def _close_part(self) -> None:
        """What was gathered becomes a part; where there is nothing to say in it, its marks are dropped."""
        text = "".join(self._pieces).strip()
        self._pieces = []
        if not any(char.isalnum() for char in text):
            return
        if len(self._parts) >= MAX_PARTS:
            raise _refusal(f"the SSML has more than {MAX_PARTS} parts; use fewer breaks and changes of rate")
        self._parts.append(SsmlPart(text, self._pause_s, self._speeds[-1]))
        self._pause_s = 0.0


def _check_element(name: str, attributes: Mapping[str, str]) -> None:
    if name not in _ATTRIBUTES:
        raise _refusal(f"<{name[:40]}> is not understood; {_UNDERSTOOD} are")
    unknown = [attribute for attribute in attributes if attribute not in _ATTRIBUTES[name]]
    if unknown:
        raise _refusal(f"<{name}> has an attribute {unknown[0][:40]!r} that is not understood; {_UNDERSTOOD} are")


def _needed(name: str, attributes: Mapping[str, str], attribute: str) -> str:
    if attribute not in attributes:
        raise _refusal(f"<{name}> needs the attribute {attribute}; write <{name} {attribute}='…'>")
    return attributes[attribute].strip()


def _rate(written: str) -> float:
    found = _RATE.fullmatch(written)
    if written in _RATES:
        return _RATES[written]
    if found is None:
        raise _refusal(f"rate={written[:40]!r} is not understood; write slow, fast, 80% or 1.2")
    return float(found[1]) / (100 if found[2] else 1)


def _pause_s(attributes: Mapping[str, str]) -> float:
    strength = attributes.get("strength", "medium")
    if strength not in _STRENGTHS:
        raise _refusal(f"strength={strength[:40]!r} is not understood; {', '.join(_STRENGTHS)} are")
    if "time" not in attributes:
        return _STRENGTHS[strength]
    found = _TIME.fullmatch(attributes["time"].strip())
    if found is None:
        raise _refusal(f"time={attributes['time'][:40]!r} is not understood; write 500ms or 0.5s")
    pause_s = float(found[1]) / (1_000 if found[2] == "ms" else 1)
    if pause_s > MAX_PAUSE_S:
        raise _refusal(f"a break may be {MAX_PAUSE_S:.0f} s at most, and one is {pause_s:g} s")
    return pause_s


def _refuse_document_type(*_: object) -> None:
    raise _refusal("SSML with a document type or entities is not read; take <!DOCTYPE …> out of it")


def _refuse_instruction(target: str, _: str) -> None:
    raise _refusal(f"<?{target[:40]} …?> is not understood; {_UNDERSTOOD} are")


def _refusal(message: str) -> RequestError:
    return RequestError(message, field="text")

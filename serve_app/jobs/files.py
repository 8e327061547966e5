"""A job's nouns as JSON and back. Never pickle: a folder may be shared, and was perhaps written by another version."""

from dataclasses import asdict
from typing import Any

from serve_app.audio.pcm import Recording
from serve_app.jobs.job import Item, JobHead, JobWork, Part, SpokenPart
from serve_app.speech.request import Guards, SamplingOptions, SentenceTiming, Turn, VoiceChoice


def head_to_json(head: JobHead) -> dict[str, Any]:
    parts = [[part.item_index, part.start, part.num_chars] for part in head.parts]
    return {**asdict(head), "parts": parts}


def head_of_json(found: dict[str, Any]) -> JobHead:
    """Raises KeyError, TypeError or ValueError for what is no head."""
    parts = tuple(Part(*map(int, part)) for part in found["parts"])
    return JobHead(**{**found, "item_ids": tuple(found["item_ids"]), "parts": parts})


def work_to_json(work: JobWork) -> dict[str, Any]:
    """Without the reference, which has a file of its own."""
    items = [{"id": item.id, "turn": _turn_to_json(item.turn)} for item in work.items]
    options = {"sampling": asdict(work.sampling), "guards": asdict(work.guards), "model": work.model}
    return {"items": items, "seed": work.seed, **options}


def work_of_json(found: dict[str, Any], reference: Recording | None) -> JobWork:
    """Raises KeyError, TypeError or ValueError for what is no work."""
    items = tuple(Item(each["id"], _turn_of_json(each["turn"], reference)) for each in found["items"])
    sampling, guards = SamplingOptions(**found["sampling"]), Guards(**found["guards"])
    return JobWork(items, int(found["seed"]), sampling, guards, found["model"])


def spoken_to_json(spoken: SpokenPart) -> dict[str, Any]:
    return asdict(spoken)


def spoken_of_json(found: dict[str, Any]) -> SpokenPart:
    """Raises KeyError, TypeError or ValueError for what is none."""
    sentences = tuple(SentenceTiming(**each) for each in found["sentences"])
    return SpokenPart(float(found["duration_s"]), sentences, tuple(found["warnings"]))


def _turn_to_json(turn: Turn) -> dict[str, Any]:
    return {
        "text": turn.text,
        "language": turn.language,
        "voice": [list(part) for part in turn.voice.parts],
        "has_reference": turn.voice.reference is not None,
        "style": turn.voice.style,
        "style_intensity": turn.voice.style_intensity,
        "speed": turn.speed,
        "pronunciations": [list(pair) for pair in turn.pronunciations],
    }


def _turn_of_json(found: dict[str, Any], reference: Recording | None) -> Turn:
    if found["has_reference"] and reference is None:
        raise ValueError("its recording is gone")
    voice = VoiceChoice(
        tuple((str(name), float(weight)) for name, weight in found["voice"]),
        reference if found["has_reference"] else None,
        found["style"],
        float(found["style_intensity"]),
    )
    pronunciations = tuple((str(word), str(spelling)) for word, spelling in found["pronunciations"])
    speed = float(found["speed"])
    return Turn(found["text"], found["language"], voice, speed=speed, pronunciations=pronunciations)

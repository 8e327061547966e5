"""Captions of a speech: SubRip (.srt) and WebVTT (.vtt), a cue for each sentence."""

from collections.abc import Sequence

Cue = tuple[str, float, float]  # text, and when it begins and ends, in seconds


def srt(cues: Sequence[Cue]) -> str:
    """A SubRip file: numbered cues, commas before the milliseconds."""
    blocks = [
        f"{number}\n{_time(start_s, ',')} --> {_time(end_s, ',')}\n{_line(text)}\n"
        for number, (text, start_s, end_s) in enumerate(cues, 1)
    ]
    return "\n".join(blocks)


def vtt(cues: Sequence[Cue]) -> str:
    """A WebVTT file (W3C). The three characters that its markup is made of are escaped."""
    blocks = [
        f"{_time(start_s, '.')} --> {_time(end_s, '.')}\n{_escaped(_line(text))}\n" for text, start_s, end_s in cues
    ]
    return "\n".join(["WEBVTT\n", *blocks])


def _time(seconds: float, point: str) -> str:
    milliseconds = round(seconds * 1_000)
    minutes, milliseconds = divmod(milliseconds, 60_000)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02}:{minutes:02}:{milliseconds // 1_000:02}{point}{milliseconds % 1_000:03}"


def _line(text: str) -> str:
    """An empty line would end the cue."""
    return " ".join(text.split())


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")

"""Many clients at once over real sockets: some listen to the end, some leave, some send nonsense."""

import asyncio
from dataclasses import dataclass
from random import Random
from typing import Any

import httpx
import pytest

from tests.end_to_end.asking import LONG_TEXT, REPORT, SPEECH, Asked, Pcm, pcm_of

# Route, body, and the status and code of the refusal.
BAD_REQUESTS: tuple[tuple[str, Any, int, str], ...] = (
    (REPORT, {"text": " "}, 400, "empty_text"),
    (REPORT, {"text": "Hello", "lang": "tlh"}, 422, "unsupported_language"),
    (REPORT, {"text": "Hello", "speed": 9}, 422, "invalid_field"),
    (REPORT, {"text": "Hello", "speaker_wav_b64": "***"}, 422, "invalid_base64"),
    (REPORT, {"text": "Hello", "speaker_wav_b64": "bm8gYXVkaW8="}, 422, "invalid_audio"),
    (SPEECH, {"input": "Hello", "voice": "nobody"}, 404, "voice_not_found"),
    (SPEECH, {"input": "x" * 300_000}, 422, "text_too_long"),
    (SPEECH, {"voice": "default"}, 422, "invalid_field"),
)
NUM_LEAVING = 8


@dataclass(frozen=True)
class Outcome:
    """What the crowd's clients got, in the order they were asked."""

    heard: list[Pcm]
    refused: list[tuple[int, str]]


def run_crowd(url: str, asked: list[Asked], num_leaving: int = NUM_LEAVING) -> Outcome:
    """All of `asked` at once, among clients that leave and requests that are refused."""

    async def run() -> Outcome:
        async with httpx.AsyncClient(base_url=url, timeout=180.0, limits=httpx.Limits(max_connections=None)) as client:
            listeners = [asyncio.create_task(_listen(client, each)) for each in asked]
            others = [asyncio.create_task(_leave(client, number)) for number in range(num_leaving)]
            refusals = [asyncio.create_task(_be_refused(client, *bad[:2])) for bad in BAD_REQUESTS]
            await asyncio.gather(*others)
            return Outcome(await asyncio.gather(*listeners), await asyncio.gather(*refusals))

    return asyncio.run(run())


async def _listen(client: httpx.AsyncClient, asked: Asked) -> Pcm:
    await asyncio.sleep(Random(asked.text).random() * 0.5)  # arrivals spread over many steps
    route, arguments = asked.to_http()
    return pcm_of(asked, await client.post(route, **arguments))


async def _leave(client: httpx.AsyncClient, number: int) -> None:
    """Half leave in mid-stream, half before they hear anything."""
    await asyncio.sleep(0.1 * number)
    if number % 2:
        async with client.stream("POST", SPEECH, json={"input": LONG_TEXT}) as answer:
            assert answer.status_code == 200
            await anext(answer.aiter_raw(1_024))
        return
    with pytest.raises(httpx.ReadTimeout):
        await client.post(REPORT, json={"text": LONG_TEXT, "lang": "en"}, timeout=0.3)


async def _be_refused(client: httpx.AsyncClient, route: str, body: Any) -> tuple[int, str]:
    answer = await client.post(route, json=body)
    return answer.status_code, answer.json()["error"]["code"]

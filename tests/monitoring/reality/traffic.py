"""Three minutes in the life of a service: callers of all kinds, a crowd, and an engine replica that is killed."""

import asyncio
import os
import signal
import time
from collections import Counter
from contextlib import suppress

import httpx

from tests.end_to_end.asking import REPORT, SPEECH, TEXTS, reference_b64
from tests.end_to_end.serving import Server

PERIOD_S = 0.8  # between callers
CROWD_AT_S, CROWD_S, CROWD = 70.0, 30.0, 24
KILL_AT_S, KILL_DELAY_S, NUM_CUT = 130.0, 1.5, 3
END_S = 200.0
SENTENCE = f"{TEXTS['en']}. "
VOICES = ("first", "second", "third")


def run_traffic(server: Server) -> Counter[str]:
    """How often each kind of caller got which answer."""
    return asyncio.run(_run(server))


async def _run(server: Server) -> Counter[str]:
    seen: Counter[str] = Counter()
    started_s = time.monotonic()
    async with httpx.AsyncClient(
        base_url=server.url, timeout=60.0, limits=httpx.Limits(max_connections=None)
    ) as client:
        crowd = [asyncio.create_task(_crowd(client, seen)) for _ in range(CROWD)]
        killer = asyncio.create_task(_kill(client, server, seen))
        callers = []
        while (number := len(callers)) * PERIOD_S < END_S:
            await asyncio.sleep(max(0.0, started_s + number * PERIOD_S - time.monotonic()))
            callers.append(asyncio.create_task(_call(client, number, seen)))
        await asyncio.gather(killer, *crowd, *callers)
    return seen


async def _call(client: httpx.AsyncClient, number: int, seen: Counter[str]) -> None:
    """Of ten one makes a mistake and one leaves early; the others stream or wait, some with a voice of their own."""
    match number % 10:
        case 3:
            await _ask(client, "mistake", seen, REPORT, {"text": " "})
        case 6:
            await _leave(client, seen)
        case 0 | 5:
            voice = reference_b64(VOICES[number // 5 % len(VOICES)])
            await _ask(client, "cloned", seen, REPORT, {"text": SENTENCE, "lang": "en", "speaker_wav_b64": voice})
        case 8:
            await _ask(client, "whole", seen, REPORT, {"text": SENTENCE * 2, "lang": "en"})
        case _:
            await _ask(client, "stream", seen, SPEECH, {"input": SENTENCE, "response_format": "pcm"})


async def _ask(client: httpx.AsyncClient, kind: str, seen: Counter[str], route: str, body: dict[str, str]) -> None:
    try:
        answer = await client.post(route, json=body)
        seen[f"{kind} {answer.status_code}"] += 1
    except httpx.TransportError:
        seen[f"{kind} cut"] += 1


async def _leave(client: httpx.AsyncClient, seen: Counter[str]) -> None:
    with suppress(httpx.TransportError):
        async with client.stream("POST", SPEECH, json={"input": SENTENCE * 6, "response_format": "pcm"}) as answer:
            async for _ in answer.aiter_raw():
                break
    seen["left"] += 1


async def _crowd(client: httpx.AsyncClient, seen: Counter[str]) -> None:
    """Asks again at once, a refused one after half a second."""
    await asyncio.sleep(CROWD_AT_S)
    end_s = time.monotonic() + CROWD_S
    while time.monotonic() < end_s:
        await _ask(client, "crowd", seen, SPEECH, {"input": SENTENCE * 3, "response_format": "pcm"})
        await asyncio.sleep(0.5)


async def _kill(client: httpx.AsyncClient, server: Server, seen: Counter[str]) -> None:
    """While it is being heard."""
    await asyncio.sleep(KILL_AT_S)
    heard = [asyncio.create_task(_hear_cut(client, seen)) for _ in range(NUM_CUT)]
    await asyncio.sleep(KILL_DELAY_S)
    os.kill(server.engine_replica().pid, signal.SIGKILL)
    await asyncio.gather(*heard)


async def _hear_cut(client: httpx.AsyncClient, seen: Counter[str]) -> None:
    await _ask(client, "heard", seen, SPEECH, {"input": SENTENCE * 40, "response_format": "pcm"})

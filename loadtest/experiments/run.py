"""An experiment from its first service to its last request."""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from loadtest.compare.listening import Listened, Text, listen
from loadtest.experiments.variant import Variant
from loadtest.server import serving
from loadtest.wire import Address
from serve_app.settings import Settings, make_settings

Echo = Callable[[str], None]

DEADLINE_S = 900.0


@dataclass
class Result:
    """What a variant gave. `cold` is its first request, where its voice was new to the service."""

    variant: Variant
    cold: Listened | None = None
    spoken: list[Listened] = field(default_factory=list)
    walls_s: list[float] = field(default_factory=list)  # of each repeat, all its requests together

    @property
    def served(self) -> list[Listened]:
        return [each for each in self.spoken if not each.why]

    @property
    def why(self) -> str:
        """Why it was not served, where it never was."""
        return next((each.why for each in self.spoken if each.why), "") if not self.served else ""


def run_experiment(
    variants: Sequence[Variant], settings: Settings, num_repeats: int, folder: Path, echo: Echo
) -> list[Result]:
    """Variants of the same settings share a service and take turns, so that a busy minute of the machine hits all."""
    results = [Result(variant) for variant in variants]
    groups: dict[str, list[Result]] = {}
    for result in results:
        groups.setdefault(repr(sorted(result.variant.settings.items())), []).append(result)
    for number, group in enumerate(groups.values()):
        chosen = make_settings(**{**_chosen(settings), **group[0].variant.settings})
        echo(f"starting {chosen.model} {dict(group[0].variant.settings) or ''}")
        place = folder / str(number)
        place.mkdir()
        with serving(chosen, place, is_ray=False) as service:
            asyncio.run(_measure(service.address, group, num_repeats))
    return results


def _chosen(settings: Settings) -> dict[str, object]:
    """What was set, and not left at its default."""
    return {name: getattr(settings, name) for name in settings.model_fields_set}


async def _measure(address: Address, group: Sequence[Result], num_repeats: int) -> None:
    await listen(address, Text("Ready when you are.", "en", 0), "default", DEADLINE_S)
    for result in group:
        if result.variant.is_cold:
            result.cold = (await _together(address, replace(result.variant, num_at_once=1), seed=0))[0]
    for number in range(num_repeats):
        shift = number % len(group)
        for result in (*group[shift:], *group[:shift]):
            started_s = time.monotonic()
            result.spoken += await _together(address, result.variant, seed=number)
            result.walls_s.append(time.monotonic() - started_s)


async def _together(address: Address, variant: Variant, seed: int) -> list[Listened]:
    texts = [Text(variant.text, "en", 100 * seed + index) for index in range(variant.num_at_once)]
    return list(await asyncio.gather(*(listen(address, text, "default", DEADLINE_S, variant.fields) for text in texts)))

"""What an experiment varies, one row of its table each."""

from collections.abc import Mapping
from dataclasses import dataclass, field

TEXT = "The train to the coast leaves at nine, and the next one not before noon."


@dataclass(frozen=True)
class Variant:
    """`settings` are the service's (names of `Settings`), `fields` the request's. `num_at_once` requests go together.

    `is_cold`: the voice in `fields` is new to the service at the first request.
    """

    name: str
    text: str = TEXT
    settings: Mapping[str, object] = field(default_factory=dict)
    fields: Mapping[str, object] = field(default_factory=dict)
    num_at_once: int = 1
    is_cold: bool = False

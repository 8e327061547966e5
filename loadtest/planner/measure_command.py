"""`profile`, as the command line offers it."""

from pathlib import Path
from typing import Annotated

import typer


def profile(
    out: Annotated[Path, typer.Argument(help="file to write, for `plan`")],
    model: Annotated[str | None, typer.Option(help="as XTTS_MODEL; what else is set by XTTS_* counts too")] = None,
    name: Annotated[str | None, typer.Option(help="what plans call it; the model's name if left out")] = None,
) -> None:
    """Measures one replica on this machine, part by part: what `plan` simulates a fleet of."""
    from loadtest.planner.measure import measure_profile
    from serve_app.settings import make_settings

    settings = make_settings(model=model)
    found = measure_profile(settings, name or settings.model, typer.echo)
    out.write_text(found.model_dump_json(indent=1, exclude_none=True) + "\n", encoding="utf-8")
    typer.echo(f"written: {out}")

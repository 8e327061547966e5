"""Options that several commands share."""

from typing import Annotated

import typer

from serve_app.settings import Settings

Model = Annotated[str | None, typer.Option(help=Settings.model_fields["model"].description)]
Device = Annotated[str | None, typer.Option(help=Settings.model_fields["device"].description)]
Dtype = Annotated[str | None, typer.Option(help=Settings.model_fields["dtype"].description)]
Quantization = Annotated[str | None, typer.Option(help=Settings.model_fields["quantization"].description)]

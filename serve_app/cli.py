"""The commands. Options are settings by another name; knows nothing of how speech is made.

What takes seconds to import, torch above all, is imported by the command that needs it, and once its options are known
to be right.
"""

import asyncio
import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from loadtest.capacity.command import capacity
from serve_app import logs, voice_commands
from serve_app.bench import commands as bench
from serve_app.errors import ServiceError
from serve_app.options import Device, Dtype, Model, Quantization
from serve_app.settings import Settings, make_settings
from serve_app.training import commands as training

app = typer.Typer(
    add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False, help="XTTS v2 as a service."
)


def main() -> None:
    """Runs the command line. An error of ours is one line on stderr and exit status 1."""
    logs.configure("text")
    try:
        app()
    except ServiceError as error:
        typer.secho(f"{error.code}: {error.message}", fg="red", err=True)
        sys.exit(1)


@app.command()
def serve(
    model: Model = None,
    host: Annotated[str | None, typer.Option(help=Settings.model_fields["host"].description)] = None,
    port: Annotated[int | None, typer.Option(help=Settings.model_fields["port"].description)] = None,
    device: Device = None,
    dtype: Dtype = None,
    quantization: Quantization = None,
    local: Annotated[bool, typer.Option("--local", help="in this one process, without Ray")] = False,
) -> None:
    """Serve speech over HTTP until interrupted."""
    settings = make_settings(model=model, host=host, port=port, device=device, dtype=dtype, quantization=quantization)
    logs.configure(settings.log_format)
    if local:
        from serve_app.local import run_local

        run_local(settings)
    else:
        os.environ.setdefault("RAY_DEDUP_LOGS", "0")  # read at Ray's import; lines of requests differ in numbers alone
        from serve_app.deployment.own_cluster import run_serve

        run_serve(settings)


@app.command()
def settings() -> None:
    """Print every setting, its default and its meaning as a Markdown table."""
    typer.echo(settings_table())


def settings_table() -> str:
    """A row for each field of `Settings`."""
    rows = ["| variable | default | meaning |", "| --- | --- | --- |"]
    for name, field in Settings.model_fields.items():
        default = "" if field.default in (None, {}) else str(field.default)
        default = default.replace("True", "true").replace("False", "false")
        rows.append(f"| `XTTS_{name.upper()}` | `{default}` | {field.description} |")
    return "\n".join(rows)


@app.command()
def readings() -> None:
    """Print how numbers, dates, amounts and addresses are read in each language as a Markdown table."""
    from serve_app.text.reading.examples import readings_table

    typer.echo(readings_table())


@app.command()
def download(model: Model = None) -> None:
    """Fetch the weights of the model into XTTS_MODEL_CACHE, so that no replica has to."""
    from serve_app.model.download import fetch_checkpoint
    from serve_app.model.source import PUBLISHED, check_source

    settings = make_settings(model=model)
    check_source(settings.model, accept_cpml=settings.accept_cpml)
    if settings.model != PUBLISHED:
        typer.echo(f"{settings.model} needs no download")
        return
    directory = fetch_checkpoint(settings.model_cache.expanduser() / PUBLISHED, typer.echo)
    typer.echo(f"{settings.model} is whole in {directory}")


@app.command()
def new_key(name: Annotated[str, typer.Argument(help="whose key it is, as the log will name it")]) -> None:
    """Make an API key: it is shown once, and its line goes into XTTS_API_KEYS_FILE."""
    from serve_app.api import keys

    key, line = keys.new_key(name)
    typer.echo(f"key for the client: {key}\nline for the file:  {line}")


@app.command()
def metrics() -> None:
    """Print every metric, its labels and its meaning as a Markdown table."""
    typer.echo(metrics_table())


def metrics_table() -> str:
    """A row for each metric, as Prometheus names it."""
    from serve_app.metrics import ALL, Kind

    rows = ["| metric | kind | labels | meaning |", "| --- | --- | --- | --- |"]
    for metric in ALL:
        name = metric.name + ("_total" if metric.kind is Kind.COUNTER else "")
        rows.append(f"| `{name}` | {metric.kind} | {', '.join(metric.labels)} | {metric.help} |")
    return "\n".join(rows)


WithoutRay = Annotated[bool, typer.Option("--without-ray", help="for `serve --local`, whose names have no `ray_`")]


@app.command()
def dashboard(without_ray: WithoutRay = False) -> None:
    """Print the Grafana dashboard as JSON."""
    from serve_app.monitoring.dashboard import dashboard_json
    from serve_app.monitoring.expressions import LOCAL, RAY

    typer.echo(dashboard_json(LOCAL if without_ray else RAY), nl=False)


@app.command()
def alerts(without_ray: WithoutRay = False) -> None:
    """Print Prometheus' alert and recording rules as YAML."""
    from serve_app.monitoring.alerts import rules_yaml
    from serve_app.monitoring.expressions import LOCAL, RAY

    typer.echo(rules_yaml(LOCAL if without_ray else RAY), nl=False)


@app.command()
def say(
    text: Annotated[str, typer.Argument(help="what to say")],
    language: Annotated[str, typer.Option("--language", "-l", help="its language, such as en or ko")] = "en",
    voice: Annotated[
        str, typer.Option("--voice", "-v", help="a recording to clone, a voice's name, or a mix: anna(2)+ben(1)")
    ] = "default",
    output: Annotated[
        Path, typer.Option("--output", "-o", help="the file to write: .wav, .mp3, .opus, .aac or .flac")
    ] = Path("speech.wav"),
    seed: Annotated[int | None, typer.Option(min=0, help="the same seed gives the same speech")] = None,
    speed: Annotated[float, typer.Option(min=0.5, max=2.0, help="duration is divided by it, pitch stays")] = 1.0,
    emotion: Annotated[str | None, typer.Option(help="neutral, happy, sad, angry, or the name of a style")] = None,
    intensity: Annotated[float, typer.Option(min=0.0, max=1.0, help="of the emotion")] = 1.0,
    model: Model = None,
    device: Device = None,
    dtype: Dtype = None,
    quantization: Quantization = None,
) -> None:
    """Speak a text into an audio file."""
    settings = make_settings(model=model, device=device, dtype=dtype, quantization=quantization)
    from serve_app.say import Manner, say_to_file

    manner = Manner(speed, emotion, intensity)
    typer.echo(asyncio.run(say_to_file(settings, text, language, voice, output, seed=seed, manner=manner)))


@app.command()
def batch(
    file: Annotated[Path, typer.Argument(help="texts: .txt (one a line), .csv (a column `text`) or .jsonl")],
    out: Annotated[
        Path, typer.Option("--out", "--output", "-o", help="the directory that takes the audio files; it is made")
    ] = Path("spoken"),
    output_format: Annotated[str, typer.Option("--format", help="mp3, opus, aac, flac, wav or pcm")] = "mp3",
    book: Annotated[bool, typer.Option("--book", help="one audio file of the whole .txt")] = False,
    voice: Annotated[
        str, typer.Option("--voice", "-v", help="a recording to clone, or a voice, of texts that name none")
    ] = "default",
    language: Annotated[
        str, typer.Option("--language", "-l", help="of texts that name none; auto: each text's own")
    ] = "en",
    speed: Annotated[float, typer.Option(min=0.5, max=2.0, help="of texts that name none")] = 1.0,
    seed: Annotated[int, typer.Option(min=0, help="another seed, another reading")] = 1,
    parallel: Annotated[int, typer.Option(min=1, max=64, help="texts spoken at once")] = 4,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="speak anew what is there already")] = False,
    url: Annotated[
        str | None, typer.Option(help="a running service that speaks, such as http://127.0.0.1:8100")
    ] = None,
    api_key_env: Annotated[str | None, typer.Option(help="the variable that holds its API key")] = None,
    model: Model = None,
    device: Device = None,
    dtype: Dtype = None,
    quantization: Quantization = None,
) -> None:
    """Speak a file of texts into audio files; run again, it goes on where it stopped."""
    settings = make_settings(model=model, device=device, dtype=dtype, quantization=quantization)
    from serve_app.batch.command import Service, run_batch
    from serve_app.batch.run import ERRORS_FILE, BatchOptions

    options = BatchOptions(out, output_format, voice, language, speed, seed, parallel, overwrite)
    service = None if url is None else Service(url, api_key_env)
    outcome = asyncio.run(run_batch(settings, file, options, is_book=book, service=service))
    typer.echo(f"{out}: {outcome}")
    if outcome.num_failed:
        typer.secho(f"{out / ERRORS_FILE} says which failed, and why", fg="red", err=True)
        raise typer.Exit(1)


# After the commands above, so that `--help` begins with them.
app.add_typer(voice_commands.app, name="voices")
app.add_typer(training.app, name="train")
for command in (training.finetune, capacity, *bench.COMMANDS):
    app.command()(command)

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
from serve_app.errors import ServiceError
from serve_app.settings import Settings, make_settings
from serve_app.training import commands as training

app = typer.Typer(
    add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False, help="XTTS v2 as a service."
)

app.add_typer(training.app, name="train")
app.add_typer(voice_commands.app, name="voices")
app.command()(training.finetune)
app.command()(capacity)

Model = Annotated[str | None, typer.Option(help=Settings.model_fields["model"].description)]
Device = Annotated[str | None, typer.Option(help=Settings.model_fields["device"].description)]
Dtype = Annotated[str | None, typer.Option(help=Settings.model_fields["dtype"].description)]
Quantization = Annotated[str | None, typer.Option(help=Settings.model_fields["quantization"].description)]


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


@app.command()
def bench(
    model: Annotated[str, typer.Option(help="whose weights both sides use")] = "synthetic:full",
    concurrency: Annotated[str, typer.Option(help="numbers of requests at once, with commas")] = "1,4,16,32",
    formats: Annotated[
        str, typer.Option(help="our number formats, with commas: auto, float32, bfloat16, float16, int8")
    ] = "auto",
    device: Device = None,
    rounds: Annotated[int, typer.Option(min=1, help="counted rounds of each side in turn")] = 3,
    codes: Annotated[int, typer.Option(min=8, help="codes of a text on average: 21.5 are a second")] = 96,
    coqui_requests: Annotated[
        int, typer.Option(min=0, help="requests of a level that coqui-tts speaks; 0: all, and it takes long")
    ] = 4,
    json_file: Annotated[Path | None, typer.Option("--json", help="write the table here too")] = None,
) -> None:
    """Measure our engine against coqui-tts's own inference: same weights, texts and number of codes, one run."""
    from serve_app.bench.formats import FORMATS

    levels, chosen = _numbers(concurrency), _choices(formats, FORMATS)
    settings = make_settings(model=model, device=device)
    from serve_app.bench.run import BenchOptions, run_bench

    run_bench(settings, BenchOptions(levels, chosen, rounds, codes, coqui_requests), json_file, echo=typer.echo)


@app.command()
def bench_service(
    model: Annotated[str, typer.Option(help="whose weights all sides use")] = "synthetic:full",
    concurrency: Annotated[str, typer.Option(help="numbers of requests at once, with commas")] = "1,4,16",
    sides: Annotated[
        str, typer.Option(help="what to hold against the service alone, with commas: local, ray")
    ] = "local,ray",
    device: Device = None,
    dtype: Dtype = None,
    quantization: Quantization = None,
    rounds: Annotated[int, typer.Option(min=1, help="counted rounds of each side in turn")] = 3,
    json_file: Annotated[Path | None, typer.Option("--json", help="write the tables here too")] = None,
) -> None:
    """Measure what HTTP and Ray cost: the service alone, behind HTTP, and behind HTTP and Ray, on 127.0.0.1."""
    levels, chosen = _numbers(concurrency), _choices(sides, ("local", "ray"))
    settings = make_settings(model=model, device=device, dtype=dtype, quantization=quantization)
    from serve_app.bench.service import ServiceBenchOptions, run_service_bench

    run_service_bench(settings, ServiceBenchOptions(levels, chosen, rounds), json_file, echo=typer.echo)


@app.command()
def bench_start(
    model: Model = None,
    device: Device = None,
    rounds: Annotated[int, typer.Option(min=1, help="starts of each kind in turn")] = 3,
    json_file: Annotated[Path | None, typer.Option("--json", help="write the table here too")] = None,
) -> None:
    """Measure starts on 127.0.0.1: the model's load alone, and from the command to the first audio."""
    from serve_app.bench.start import run_start_bench

    run_start_bench(make_settings(model=model, device=device), rounds, json_file, typer.echo)


@app.command()
def bench_kernels(model: Annotated[str, typer.Option(help="whose sizes to measure")] = "synthetic:full") -> None:
    """Measure the parts of a step alone on this CPU: products, attention, vocoder."""
    from serve_app.bench.kernels import kernel_table
    from serve_app.model.checkpoint import load_checkpoint
    from serve_app.speech.engine_setup import use_cpu

    options = make_settings(model=model)
    use_cpu(options.num_threads)
    checkpoint = load_checkpoint(
        options.model, accept_cpml=options.accept_cpml, cache_dir=options.model_cache, progress=typer.echo
    )
    for line in kernel_table(checkpoint):
        typer.echo(line)


@app.command()
def bench_gpu(
    model: Annotated[str, typer.Option(help="whose sizes to measure")] = "synthetic:full",
    dtype: Dtype = None,
    profiled: Annotated[
        str, typer.Option(help="steps to profile kernel by kernel, as ROWSxCACHED with commas; empty: none")
    ] = "1x128,64x256",
) -> None:
    """Measure what a GPU does in speech, each part alone, beside the least time it could take there."""
    from serve_app.bench.gpu_profile import profile_table
    from serve_app.bench.gpu_step import Sizes, gpu_table, ways_of
    from serve_app.model.checkpoint import load_checkpoint
    from serve_app.model.device import choose_compute
    from serve_app.speech.engine_setup import build_runner, engine_config, use_gpu

    options = make_settings(model=model, device="cuda", dtype=dtype)
    compute = choose_compute(options.device, options.dtype, options.quantization)
    use_gpu(is_deterministic=False)
    checkpoint = load_checkpoint(
        options.model, accept_cpml=options.accept_cpml, cache_dir=options.model_cache, progress=typer.echo
    )
    config = engine_config(options, compute)
    for line in gpu_table(checkpoint, compute, ways_of(config), Sizes()):
        typer.echo(line)
    for label, way in ways_of(config) if profiled else ():
        typer.echo(f"\nKernels, {label}:")
        runner = build_runner(checkpoint, compute, way)
        runner.warm_up()
        for step in profiled.split(","):
            rows, cached = map(int, step.split("x"))
            for line in profile_table(runner, checkpoint.config.gpt, compute.device, rows, cached):
                typer.echo(line)


@app.command()
def bench_open_loop(
    model: Model = None,
    rates: Annotated[str, typer.Option(help="requests a second, with commas")] = "1,2,5,10,20,40",
    duration_s: Annotated[float, typer.Option("--seconds", min=1.0, help="of requests at each rate")] = 20.0,
    dtype: Dtype = None,
) -> None:
    """Measure first audio and stalls of the engine alone, while requests come at random at given rates."""
    from serve_app.bench.open_loop import open_loop_table
    from serve_app.bench.worker import made_up_voice
    from serve_app.model.checkpoint import load_checkpoint
    from serve_app.model.device import choose_compute
    from serve_app.speech.engine_setup import build_engine, engine_config, use_cpu, use_gpu, warm_up

    options = make_settings(model=model, dtype=dtype)
    compute = choose_compute(options.device, options.dtype, options.quantization)
    if compute.device.type == "cuda":
        use_gpu(is_deterministic=options.deterministic)
    else:
        use_cpu(options.num_threads)
    checkpoint = load_checkpoint(
        options.model, accept_cpml=options.accept_cpml, cache_dir=options.model_cache, progress=typer.echo
    )
    voice = made_up_voice(checkpoint)
    engine = build_engine(checkpoint, compute, engine_config(options, compute))
    try:
        asyncio.run(warm_up(engine, voice))
        for line in open_loop_table(engine, voice, [float(rate) for rate in rates.split(",")], duration_s):
            typer.echo(line)
    finally:
        engine.close()


@app.command()
def bench_hearing(
    model: Model = None,
    voices: Annotated[str, typer.Option(help="names of voices, with commas")] = "default",
    sentences: Annotated[int, typer.Option(min=1, max=100, help="so many of the hundred held-out ones")] = 100,
    teachers: Annotated[
        bool, typer.Option("--teachers", help="hear the synthesisers that mini's voices were learnt from instead")
    ] = False,
    json_file: Annotated[Path | None, typer.Option("--json", help="write what was understood here")] = None,
) -> None:
    """Measure how well the service is understood: held-out sentences over HTTP, heard by Whisper."""
    from serve_app.bench.hearing import run_hearing_bench, run_teacher_bench
    from serve_app.training.corpus import held_out_sentences

    names = [name.strip() for name in voices.split(",")]
    chosen = held_out_sentences()[:sentences]
    if teachers:
        run_teacher_bench(names, chosen, typer.echo)
    else:
        run_hearing_bench(make_settings(model=model), names, chosen, json_file, typer.echo)


@app.command()
def bench_emotion(
    model: Model = None,
    voice: Annotated[str, typer.Option(help="whose")] = "default",
) -> None:
    """Measure what the emotions that need no recording do to a voice: pitch, tempo, loudness."""
    settings = make_settings(model=model)
    from serve_app.bench.emotion import run_emotion_bench

    run_emotion_bench(settings, voice, typer.echo)


def _choices(text: str, known: tuple[str, ...]) -> tuple[str, ...]:
    names = tuple(dict.fromkeys(each.strip() for each in text.split(",")))
    unknown = [name for name in names if name not in known]
    if unknown:
        raise typer.BadParameter(f"{unknown[0]!r} is none of {', '.join(known)}")
    return names


def _numbers(text: str) -> tuple[int, ...]:
    try:
        numbers = tuple(int(each) for each in text.split(","))
    except ValueError:
        numbers = ()
    if not numbers or min(numbers) < 1:
        raise typer.BadParameter(f"{text!r} is no list of numbers above 0, such as 1,4,16")
    return numbers

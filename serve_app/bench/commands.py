"""The commands that measure. What takes seconds to import is imported by the command that needs it."""

import asyncio
import math
import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from serve_app.options import Device, Dtype, Model, Quantization
from serve_app.settings import Settings, make_settings

if TYPE_CHECKING:
    from serve_app.model.checkpoint import Checkpoint


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


def bench_start(
    model: Model = None,
    device: Device = None,
    rounds: Annotated[int, typer.Option(min=1, help="starts of each kind in turn")] = 3,
    json_file: Annotated[Path | None, typer.Option("--json", help="write the table here too")] = None,
) -> None:
    """Measure starts on 127.0.0.1: the model's load alone, and from the command to the first audio."""
    from serve_app.bench.start import run_start_bench

    run_start_bench(make_settings(model=model, device=device), rounds, json_file, typer.echo)


def bench_kernels(model: Annotated[str, typer.Option(help="whose sizes to measure")] = "synthetic:full") -> None:
    """Measure the parts of a step alone on this CPU: products, attention, vocoder."""
    from serve_app.bench.kernels import kernel_table
    from serve_app.speech.engine_setup import use_cpu

    options = make_settings(model=model)
    use_cpu(options.num_threads)
    for line in kernel_table(_loaded(options)):
        typer.echo(line)


def bench_gpu(
    model: Annotated[str, typer.Option(help="whose sizes to measure")] = "synthetic:full",
    dtype: Dtype = None,
    profiled: Annotated[
        str, typer.Option(help="steps to profile kernel by kernel, as ROWSxCACHED with commas; empty: none")
    ] = "1x128,64x256",
) -> None:
    """Measure what a GPU does in speech, each part alone, beside the least time it could take there."""
    steps = _steps(profiled)
    from serve_app.bench.gpu_step import Sizes, gpu_table, ways_of
    from serve_app.model.device import choose_compute
    from serve_app.speech.engine_setup import engine_config, use_device

    options = make_settings(model=model, device="cuda", dtype=dtype)
    compute = choose_compute(options.device, options.dtype, options.quantization)
    use_device(options, compute)
    for line in gpu_table(_loaded(options), compute, ways_of(engine_config(options, compute)), Sizes(profiled=steps)):
        typer.echo(line)


def bench_open_loop(
    model: Model = None,
    rates: Annotated[str, typer.Option(help="requests a second, with commas")] = "1,2,5,10,20,40",
    duration_s: Annotated[float, typer.Option("--seconds", min=1.0, help="of requests at each rate")] = 20.0,
    dtype: Dtype = None,
) -> None:
    """Measure first audio and stalls of the engine alone, while requests come at random at given rates."""
    rates_hz = _rates(rates)
    from serve_app.bench.open_loop import open_loop_table
    from serve_app.bench.worker import made_up_voice
    from serve_app.model.device import choose_compute
    from serve_app.speech.engine_setup import build_engine, engine_config, use_device, warm_up

    options = make_settings(model=model, dtype=dtype)
    compute = choose_compute(options.device, options.dtype, options.quantization)
    use_device(options, compute)
    checkpoint = _loaded(options)
    voice = made_up_voice(checkpoint)
    engine = build_engine(checkpoint, compute, engine_config(options, compute))
    try:
        asyncio.run(warm_up(engine, voice))
        for line in open_loop_table(engine, voice, rates_hz, duration_s):
            typer.echo(line)
    finally:
        engine.close()


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


def _rates(text: str) -> list[float]:
    try:
        rates_hz = [float(each) for each in text.split(",")]
    except ValueError:
        rates_hz = []
    if not rates_hz or not all(0.0 < each < math.inf for each in rates_hz):
        raise typer.BadParameter(f"{text!r} is no list of rates above 0, such as 0.5,2,10")
    return rates_hz


def _steps(text: str) -> tuple[tuple[int, int], ...]:
    """ROWSxCACHED, with commas."""
    found = [re.fullmatch(r"([1-9]\d*)x([1-9]\d*)", each.strip()) for each in text.split(",")] if text else []
    steps = tuple((int(each[1]), int(each[2])) for each in found if each)
    if len(steps) < len(found):
        raise typer.BadParameter(f"{text!r} is no list of steps such as 1x128,64x256")
    return steps


def _loaded(settings: Settings) -> "Checkpoint":
    from serve_app.model.checkpoint import load_checkpoint

    return load_checkpoint(
        settings.model, accept_cpml=settings.accept_cpml, cache_dir=settings.model_cache, progress=typer.echo
    )


COMMANDS = (bench, bench_service, bench_start, bench_kernels, bench_gpu, bench_open_loop, bench_hearing, bench_emotion)

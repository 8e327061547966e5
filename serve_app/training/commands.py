"""`python -m serve_app train STAGE`: each stage of a run, on its own or one after another.

What learns is imported when a stage runs: the other commands start without it.
"""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from serve_app.settings import make_settings

if TYPE_CHECKING:
    from serve_app.training.stages import Run

app = typer.Typer(no_args_is_help=True, help="Train a small model: stages that can be stopped and resumed.")

Folder = Annotated[Path, typer.Option(help="the run's folder: all that the stages write")]
RecipeName = Annotated[str, typer.Option("--recipe", help="mini, or smoke: minutes of work that speak badly")]
Threads = Annotated[int, typer.Option(min=1, help="CPU threads")]
Device = Annotated[str, typer.Option(help="auto, cpu or cuda")]
Steps = Annotated[int | None, typer.Option(min=1, help="steps in all; left out: the recipe's")]
Minutes = Annotated[float | None, typer.Option(min=0.1, help="stop after so long, with the learning rate brought down")]

DEFAULT_FOLDER = Path("training-run")
MAX_COMPARED = 10  # sentences that are spoken before and after fine-tuning


def _run(folder: Path, recipe: str, threads: int, device: str = "cpu") -> "Run":
    import torch

    from serve_app.training.device import training_device
    from serve_app.training.recipe import find_recipe
    from serve_app.training.stages import Run

    torch.set_num_threads(threads)
    return Run(folder, find_recipe(recipe), report=typer.echo, device=training_device(device))


@app.command()
def data(
    folder: Folder = DEFAULT_FOLDER,
    recipe: RecipeName = "mini",
    teacher: Annotated[str | None, typer.Option(help="only voices of this teacher: joe, rms, slt or awb")] = None,
) -> None:
    """Have the teachers say the sentences."""
    _run(folder, recipe, 1).data(teacher)


@app.command()
def codes(folder: Folder = DEFAULT_FOLDER, recipe: RecipeName = "mini", threads: Threads = 2) -> None:
    """Learn the quantiser and encode the recordings."""
    _run(folder, recipe, threads).codes()


@app.command()
def gpt(
    folder: Folder = DEFAULT_FOLDER,
    recipe: RecipeName = "mini",
    threads: Threads = 2,
    device: Device = "auto",
    steps: Steps = None,
    minutes: Minutes = None,
) -> None:
    """Train the GPT."""
    run = _run(folder, recipe, threads, device)
    run.gpt(steps or run.recipe.gpt_steps, minutes)


@app.command()
def speaker(
    folder: Folder = DEFAULT_FOLDER,
    recipe: RecipeName = "mini",
    threads: Threads = 2,
    device: Device = "auto",
    steps: Steps = None,
) -> None:
    """Train the speaker encoder."""
    run = _run(folder, recipe, threads, device)
    run.speaker(steps or run.recipe.speaker_steps)


@app.command()
def patch_vocoder(
    folder: Folder = DEFAULT_FOLDER,
    recipe: RecipeName = "mini",
    threads: Threads = 2,
    device: Device = "auto",
    steps: Steps = None,
    minutes: Minutes = None,
) -> None:
    """Train the vocoder on the recordings' patches, for which no GPT is needed."""
    run = _run(folder, recipe, threads, device)
    run.patch_vocoder(steps or run.recipe.patch_vocoder_steps, minutes)


@app.command()
def vocoder(
    folder: Folder = DEFAULT_FOLDER,
    recipe: RecipeName = "mini",
    threads: Threads = 2,
    device: Device = "auto",
    steps: Steps = None,
    minutes: Minutes = None,
) -> None:
    """Train the vocoder on the GPT's latents."""
    run = _run(folder, recipe, threads, device)
    run.vocoder(steps or run.recipe.vocoder_steps, minutes)


@app.command()
def export(
    folder: Folder = DEFAULT_FOLDER,
    recipe: RecipeName = "mini",
    output: Annotated[Path | None, typer.Option("--output", "-o", help="directory; left out: FOLDER/export")] = None,
) -> None:
    """Write the checkpoint that the service loads."""
    _run(folder, recipe, 2).export(output)


@app.command()
def references(
    output: Annotated[Path, typer.Option("--output", "-o", help="directory of the OGG files")],
    folder: Folder = DEFAULT_FOLDER,
    recipe: RecipeName = "mini",
) -> None:
    """Write two recordings of each shipped voice, for tests of cloning."""
    _run(folder, recipe, 1).references(output)


@app.command()
def listen(
    voice: Annotated[str, typer.Option(help="one of the run's")] = "joe",
    sentences: Annotated[int, typer.Option(min=1, help="so many that training never saw")] = 40,
    folder: Folder = DEFAULT_FOLDER,
    recipe: RecipeName = "mini",
    threads: Threads = 2,
) -> None:
    """Print where words are lost between a recording and speech: in the codes, the GPT or the vocoder."""
    _run(folder, recipe, threads).listen(voice, sentences)


@app.command("all")
def everything(
    folder: Folder = DEFAULT_FOLDER, recipe: RecipeName = "mini", threads: Threads = 2, device: Device = "auto"
) -> None:
    """All stages, one after another; those that are done take no time."""
    run = _run(folder, recipe, threads, device)
    stages: tuple[tuple[str, Callable[[], object]], ...] = (
        ("data", run.data),
        ("codes", run.codes),
        ("gpt", lambda: run.gpt(run.recipe.gpt_steps)),
        ("speaker", lambda: run.speaker(run.recipe.speaker_steps)),
        ("patch-vocoder", lambda: run.patch_vocoder(run.recipe.patch_vocoder_steps)),
        ("vocoder", lambda: run.vocoder(run.recipe.vocoder_steps)),
        ("export", run.export),
    )
    for name, stage in stages:
        typer.echo(f"== {name}")
        stage()


def finetune(
    data: Annotated[Path, typer.Option(help="recordings with texts, laid out as LJSpeech or Common Voice")],
    output: Annotated[Path, typer.Option("--output", "-o", help="directory of the result, which the service loads")],
    base: Annotated[str, typer.Option(help="mini, xtts_v2 or a checkpoint directory")] = "mini",
    voice: Annotated[str, typer.Option(help="name that the voice gets")] = "tuned",
    language: Annotated[str, typer.Option("--language", "-l", help="of the texts")] = "en",
    steps: Annotated[int, typer.Option(min=1, help="at most so many for the GPT")] = 2_000,
    vocoder_steps: Annotated[int, typer.Option(min=0, help="for the vocoder; 0 leaves it as it is")] = 300,
    batch: Annotated[int, typer.Option(min=1, help="sentences a step")] = 8,
    learning_rate: Annotated[float | None, typer.Option(help="left out: chosen by the model's size")] = None,
    patience: Annotated[int, typer.Option(min=1, help="validations without improvement before it stops")] = 5,
    validate_every: Annotated[int, typer.Option(min=1, help="steps between validations")] = 50,
    threads: Threads = 2,
    device: Device = "auto",
) -> None:
    """Fine-tune a model on recordings with transcripts; the result is a directory for XTTS_MODEL."""
    import torch

    from serve_app.audio.pcm import Recording
    from serve_app.training.compare import before_and_after
    from serve_app.training.device import training_device
    from serve_app.training.finetune import Finetune, FinetuneOptions, base_directory
    from serve_app.training.spectrogram import SAMPLE_RATE_HZ

    torch.set_num_threads(threads)
    options = FinetuneOptions(
        voice, language, steps, vocoder_steps, batch, learning_rate, validate_every=validate_every, patience=patience
    )
    directory = base_directory(base, make_settings(), typer.echo)
    run = Finetune(directory, data, output, options, typer.echo, training_device(device))
    learnt = run.train_gpt()
    learnt |= run.train_vocoder(learnt)
    run.export(learnt)
    unseen = run.batcher.validation_recordings
    real = [Recording(run.voice.folder.samples(each), SAMPLE_RATE_HZ) for each in unseen]
    texts = [each.text for each in unseen[:MAX_COMPARED]]
    comparison = before_and_after(run.base, output, run.reference(), real, texts, language, typer.echo)
    (output / "comparison.md").write_text(comparison + "\n", encoding="utf-8")
    typer.echo(comparison)

"""The rule of dependencies: which room may import which, who alone imports Ray and FastAPI, what is free of torch."""

import ast
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
PACKAGE = "serve_app"

USERS_VOICES = ("voices.catalogue", "voices.entry", "voices.storage", "voices.info")  # what the ingress has of them
BASICS = ("errors", "settings", "metrics")  # they import none of ours
COMPUTING = ("heap", "compute_threads")

# Room → what it may import of ours, besides itself. "*" is everything. A deeper row takes the place of its room's.
MAY_IMPORT: dict[str, tuple[str, ...]] = {
    "": (),
    "errors": (),
    "settings": ("errors",),
    "metrics": (),
    "logs": (),
    "heap": (),
    "compute_threads": (),
    "text": ("errors",),
    "audio": ("errors",),
    "kernels": (),
    "model": (*BASICS, "kernels", "text.reading.hindi", "voices.voice", "voices.info"),
    "voices": (*BASICS, "compute_threads", "audio"),
    "voices.voice": ("errors", "voices.storage"),
    "voices.storage": (*BASICS, "voices.object_store"),
    "voices.info": ("audio.pcm",),
    "engine": (*BASICS, "model", "kernels", "voices.voice"),
    "speech": (*BASICS, *COMPUTING, "engine", "text", "audio", "voices", "model", "kernels"),
    "speech.request": ("errors", "audio.pcm", "voices.info"),
    "speech.mix": ("errors",),
    "speech.prosody": ("audio.pcm",),
    "jobs": (*BASICS, "speech.request", "audio", "text"),
    "shelf": (*BASICS, *COMPUTING, "speech", "model.source", "engine.memory", "audio.pcm", "voices.info"),
    "api": (*BASICS, "jobs", "speech.request", "speech.mix", "audio", "text", *USERS_VOICES),
    "training": (*BASICS, "model", "audio", "voices", "speech"),
    "monitoring": ("errors", "metrics"),
    "deployment": ("*",),
    "local": ("*",),
    "say": ("*",),
    "batch": ("*",),
    "voice_commands": ("*",),
    "bench": ("*",),
    "options": ("settings",),
    "cli": ("*",),
    "__main__": ("*",),
}

# Library → the only rooms that import it.
RESERVED = {"ray": ("deployment",), "fastapi": ("api",), "starlette": ("api", "deployment"), "loadtest": ("cli",)}

TORCH_FREE = (
    *("errors", "settings", "text", "audio.pcm", "speech.request"),
    *("engine.scheduler", "engine.sequence", "model.source", "model.pronunciation", "voices.info", "shelf"),
    *("cli", "options", "bench.commands"),
    *("jobs", "voices.storage", "voices.entry", "voices.catalogue", "speech.mix", "speech.prosody"),
)

# a library's own other half needs no line in pyproject.toml: torch asks for the one Triton that its compiler uses
COMES_WITH = {"pydantic_core": "pydantic", "triton": "torch"}


@cache
def modules() -> dict[str, Path]:
    """Every module of ours by its name inside the package ("" is the package itself)."""
    paths = sorted((ROOT / PACKAGE).rglob("*.py"))
    parts = {path: path.relative_to(ROOT / PACKAGE).with_suffix("").parts for path in paths}
    return {".".join(part for part in names if part != "__init__"): path for path, names in parts.items()}


@cache
def imported_names(module: str) -> frozenset[str]:
    """Everything a module imports anywhere in it, as absolute dotted names of modules as far as they are ours."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(modules()[module].read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0 and node.module, f"{module}: relative import in line {node.lineno}"
            names.update(_resolve(node.module, alias.name) for alias in node.names)
    return frozenset(names)


def _resolve(module: str, name: str) -> str:
    """`from module import name` imports the module `module.name` if there is one, else `module`."""
    submodule = f"{module}.{name}"
    return submodule if submodule.removeprefix(f"{PACKAGE}.") in modules() else module


def is_inside(module: str, room: str) -> bool:
    return room == "*" or module == room or (room != "" and module.startswith(f"{room}."))


def room_of(module: str) -> str | None:
    """The deepest row of the table that holds the module."""
    return max((room for room in MAY_IMPORT if is_inside(module, room)), key=len, default=None)


def our_imports(module: str) -> Iterator[str]:
    for name in imported_names(module):
        if name == PACKAGE or name.startswith(f"{PACKAGE}."):
            yield name.removeprefix(PACKAGE).removeprefix(".")


def libraries(module: str) -> set[str]:
    tops = {name.split(".")[0] for name in imported_names(module)}
    return tops - sys.stdlib_module_names - {PACKAGE}


def is_allowed(module: str, target: str) -> bool:
    room = room_of(module)
    assert room is not None
    return any(is_inside(target, allowed) for allowed in (room, *MAY_IMPORT[room]))


def test_every_module_has_a_row() -> None:
    assert [module for module in modules() if room_of(module) is None] == []


def test_every_row_names_something_that_exists() -> None:
    named = {*MAY_IMPORT, *TORCH_FREE, *(target for row in MAY_IMPORT.values() for target in row)} - {"*"}
    assert sorted(named - modules().keys()) == []


@pytest.mark.parametrize("room", MAY_IMPORT)
def test_room_imports_only_what_its_row_allows(room: str) -> None:
    ours = [module for module in modules() if room_of(module) == room]
    wrong = [
        f"{module} imports {target}"
        for module in ours
        for target in our_imports(module)
        if not is_allowed(module, target)
    ]
    assert sorted(wrong) == []


@pytest.mark.parametrize("library", RESERVED)
def test_library_is_imported_only_in_its_room(library: str) -> None:
    importers = [module for module in modules() if library in libraries(module)]
    assert [module for module in importers if room_of(module) not in RESERVED[library]] == []


def test_torch_free_modules_do_not_load_torch() -> None:
    names = [f"{PACKAGE}.{module}" for module in modules() if any(is_inside(module, room) for room in TORCH_FREE)]
    program = (
        "import importlib, sys\n"
        "for name in sys.argv[1:]:\n"
        "    importlib.import_module(name)\n"
        "    if 'torch' in sys.modules: sys.exit(f'{name} loads torch')\n"
    )
    run = subprocess.run([sys.executable, "-c", program, *names], cwd=ROOT, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr


def test_model_loads_without_transformers_and_torchs_compiler() -> None:
    """Either takes seconds of every start and memory of every replica; only tests and the bench load them."""
    program = (
        "import sys\n"
        "from pathlib import Path\n"
        "import serve_app.speech.loading\n"
        "from serve_app.model.checkpoint import load_checkpoint\n"
        "from serve_app.model.conditioning import VoiceEncoder\n"
        "VoiceEncoder(load_checkpoint('synthetic:tiny', accept_cpml=False, cache_dir=Path(), progress=print))\n"
        "sys.exit(str({'transformers', 'torch._dynamo', 'sympy'} & set(sys.modules) or ''))\n"
    )
    run = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False)
    assert run.stderr.strip() == ""


def test_every_imported_library_is_a_declared_dependency() -> None:
    pyproject = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    groups = pyproject["dependency-groups"]
    runtime = names(pyproject["project"]["dependencies"])
    tools = runtime | names(groups["train"]) | names(groups["ears"])  # of the training room, which no service loads
    distributions = packages_distributions()
    undeclared = {
        f"{module} imports {library}"
        for module in modules()
        for library in libraries(module) - {"loadtest"}  # ours, and installed with us
        if not (tools if room_of(module) == "training" else runtime)
        & {canonicalize_name(name) for name in distributions.get(COMES_WITH.get(library, library), [])}
    }
    assert sorted(undeclared) == []


def names(requirements: list[object]) -> set[str]:
    return {canonicalize_name(Requirement(line).name) for line in requirements if isinstance(line, str)}

"""What the image promises, read from its recipe; `make image-check` builds and runs it."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
RECIPE = (ROOT / "Dockerfile").read_text(encoding="utf-8")
STAGES = dict(re.findall(r"^FROM \S+ AS (\w[\w-]*)\n(.*?)(?=^FROM |\Z)", RECIPE, re.MULTILINE | re.DOTALL))


def test_hadolint_finds_nothing() -> None:
    hadolint = Path(sys.executable).with_name("hadolint")
    found = subprocess.run([hadolint, ROOT / "Dockerfile"], capture_output=True, text=True, timeout=60, check=False)
    assert (found.returncode, found.stdout) == (0, "")


def test_base_is_pinned_by_digest() -> None:
    assert re.search(r"^ARG BASE_IMAGE=\S+:\S+@sha256:[0-9a-f]{64}$", RECIPE, re.MULTILINE)
    assert [name for name in re.findall(r"^FROM (\S+)", RECIPE, re.MULTILINE) if name not in STAGES] == [
        "${BASE_IMAGE}"
    ]


def test_dependencies_come_from_the_lock_with_hashes() -> None:
    installs = [line for line in STAGES["dependencies"].splitlines() if "uv pip install" in line]
    assert len(installs) == 1
    assert "--require-hashes --requirement /locks/requirements.lock" in installs[0]


def test_what_is_copied_is_let_in_and_is_there_when_the_image_is_checked() -> None:
    copies = re.findall(r"^COPY (?!--from)(.*)$", RECIPE, re.MULTILINE)
    copied = {source.partition("/")[0] for line in copies for source in line.split()[:-1]}
    let_in = re.findall(r"^!(.*)$", (ROOT / ".dockerignore").read_text(encoding="utf-8"), re.MULTILINE)
    assert sorted(let_in) == sorted(copied)
    script = (ROOT / "scripts" / "image-check").read_text(encoding="utf-8")
    named = re.search(r"^source_files=\((.*?)\)", script, re.MULTILINE | re.DOTALL)
    assert named is not None and set(named[1].split()) >= copied


def test_load_test_has_all_that_its_users_import(tmp_path: Path) -> None:
    """And nothing else of the service, so that it stays small."""
    for line in re.findall(r"^COPY (?!--from)(.*)$", STAGES["load-test"], re.MULTILINE):
        *sources, target = line.split()
        folder = tmp_path / target.removeprefix("/srv/load-test/").removesuffix("/")
        for source in sources:
            if (ROOT / source).is_dir():
                shutil.copytree(ROOT / source, folder, ignore=shutil.ignore_patterns("__pycache__"))
            elif source.endswith(".py"):
                folder.mkdir(parents=True, exist_ok=True)
                shutil.copy(ROOT / source, folder)
    imports = "import loadtest.client, loadtest.shapes.plans, loadtest.workload.workload, loadtest.workload.recording"
    command = [sys.executable, "-S", "-c", f"{imports}; loadtest.workload.texts.corpora()"]  # -S: no packages
    subprocess.run(command, cwd=tmp_path, check=True, timeout=60)


def test_service_runs_as_a_number_and_has_a_health_check() -> None:
    service = STAGES["service"]
    assert re.search(r"^USER [1-9]\d+:[1-9]\d+$", service, re.MULTILINE)
    assert "HEALTHCHECK" in service and "/health/ready" in service


@pytest.mark.parametrize("tool", ["bash", "wget", "grep"])
def test_tools_of_kuberays_probe_are_installed(tool: str) -> None:
    assert re.search(rf"install .*\b{tool}\b", STAGES["base"])


def test_default_target_is_the_service() -> None:
    assert RECIPE.rstrip().splitlines()[-1] == "FROM service"


def test_build_context_is_what_is_copied() -> None:
    """`.dockerignore` shuts out all but what the recipe copies, so that no secret lying about gets in."""
    lines = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    sources = re.findall(r"^COPY (?!--from)(.*) \S+$", RECIPE, re.MULTILINE)
    copied = {name.split("/")[0] for line in sources for name in line.split()}
    assert "*" in lines and {line[1:] for line in lines if line.startswith("!")} == copied

"""The locks: they hold what pyproject.toml asks for, every file by its hash, and no place to fetch it from."""

import re
import tomllib
from collections.abc import Mapping
from functools import cache
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]

# Lock → the dependency groups it is made from; None stands for the package's own dependencies.
LOCKS: Mapping[str, tuple[str | None, ...]] = {
    "requirements.lock": (None,),
    "requirements-build.lock": ("build",),
    "requirements-dev.lock": ("test", "lint"),
    "requirements-load.lock": ("load",),
}

# They move together or break silently: only a single exact version of each has been heard to speak.
PINNED = ("coqui-tts", "numpy", "ray", "torch", "torchaudio", "torchcodec", "transformers")

ENTRY = re.compile(r"(?P<name>[a-z0-9.-]+)==(?P<version>[0-9][0-9a-z.+]*)(?: ; [a-zA-Z0-9_.'\"=!<>() ]+)? \\")
HASH = re.compile(r"    --hash=sha256:[0-9a-f]{64}( \\)?")


@cache
def pyproject() -> dict[str, object]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def requirements(group: str | None) -> list[Requirement]:
    project, groups = pyproject()["project"], pyproject()["dependency-groups"]
    assert isinstance(project, dict) and isinstance(groups, dict)
    found: list[Requirement] = []
    for line in project["dependencies"] if group is None else groups[group]:
        found += requirements(line["include-group"]) if isinstance(line, dict) else [Requirement(line)]
    return found


@cache
def lines(lock: str) -> tuple[str, ...]:
    return tuple(line for line in (ROOT / lock).read_text(encoding="utf-8").splitlines() if not line.startswith("#"))


@cache
def locked(lock: str) -> dict[str, str]:
    """Name → version."""
    entries = [entry for line in lines(lock) if (entry := ENTRY.fullmatch(line))]
    return {canonicalize_name(entry["name"]): entry["version"] for entry in entries}


@pytest.mark.parametrize("lock", LOCKS)
def test_lock_holds_every_dependency_at_a_matching_version(lock: str) -> None:
    wanted = [requirement for group in LOCKS[lock] for requirement in requirements(group)]
    versions = locked(lock)
    assert wanted
    assert [
        str(need) for need in wanted if not need.specifier.contains(versions.get(canonicalize_name(need.name), "0"))
    ] == []


@pytest.mark.parametrize("lock", LOCKS)
def test_lock_holds_nothing_but_versions_and_hashes(lock: str) -> None:
    """No URL, host or path fits either form, so a lock that passes installs from whatever registry is configured."""
    assert [line for line in lines(lock) if not (ENTRY.fullmatch(line) or HASH.fullmatch(line))] == []


@pytest.mark.parametrize("lock", LOCKS)
def test_lock_has_a_hash_for_every_entry(lock: str) -> None:
    following = zip(lines(lock), (*lines(lock)[1:], ""), strict=True)
    assert [line for line, after in following if ENTRY.fullmatch(line) and not HASH.fullmatch(after)] == []


def test_locks_agree_on_versions() -> None:
    runtime = locked("requirements.lock")
    others = {**locked("requirements-build.lock"), **locked("requirements-dev.lock")}
    assert {name: version for name, version in others.items() if runtime.get(name, version) != version} == {}


@pytest.mark.parametrize("name", PINNED)
def test_fragile_dependency_is_pinned_exactly(name: str) -> None:
    (requirement,) = [requirement for requirement in requirements(None) if requirement.name == name]
    assert [specifier.operator for specifier in requirement.specifier] == ["=="]


def test_no_lock_names_a_place_even_in_its_comments() -> None:
    text = "\n".join((ROOT / lock).read_text(encoding="utf-8") for lock in LOCKS)
    assert re.findall(r"://|--index-url|--extra-index-url|--find-links|(?<!\w)/(?:home|root|tmp|opt|work)/", text) == []

"""Servers that the end-to-end tests share, each started once."""

from collections.abc import Generator

import pytest

from tests.end_to_end.asking import Pcm, crowd, hear
from tests.end_to_end.serving import Server, serving

MANY = "1000"
LOG_LINES_SHOWN = 200


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A failed test shows the end of its servers' logs: a race that CI met once cannot be asked again."""
    report = yield
    if report.failed:
        for name, value in getattr(item, "funcargs", {}).items():
            if isinstance(value, Server):
                report.sections.append((f"log of {name}", "\n".join(value.log.splitlines()[-LOG_LINES_SHOWN:])))
    return report


@pytest.fixture(scope="session")
def local_server(tmp_path_factory: pytest.TempPathFactory) -> Generator[Server]:
    """One process without Ray, with a queue that refuses nobody."""
    with serving(tmp_path_factory.mktemp("local"), "--local", XTTS_MAX_WAITING=MANY) as server:
        yield server


@pytest.fixture(scope="session")
def narrow_server(tmp_path_factory: pytest.TempPathFactory) -> Generator[Server]:
    """One slot, and room for nine who wait: a text's eight sentences and one more."""
    directory = tmp_path_factory.mktemp("narrow")
    with serving(directory, "--local", XTTS_MAX_SLOTS="1", XTTS_MAX_WAITING="9") as server:
        yield server


@pytest.fixture(scope="session")
def heard_alone(local_server: Server) -> list[Pcm]:
    """What each of the crowd's requests gives when nobody else is there."""
    with local_server.client() as client:
        return [hear(client, asked) for asked in crowd()]


@pytest.fixture(scope="module")
def ray_server(tmp_path_factory: pytest.TempPathFactory) -> Generator[Server]:
    """The service on a Ray of its own. The module's last test may have stopped it."""
    with serving(tmp_path_factory.mktemp("ray"), XTTS_MAX_WAITING=MANY) as server:
        yield server

"""Clients written for the field report's server, unchanged."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.end_to_end import report_client
from tests.end_to_end.asking import REPORT, TEXTS, num_codes, num_samples, pcm_of_wav
from tests.end_to_end.serving import Server

REPORT_LANGUAGES = ("ko", "ja", "zh-cn", "en", "fr", "de", "es", "it", "pt", "pl", "ru", "nl", "cs", "tr")


def run_client(server: Server, texts: dict[str, str], directory: Path) -> subprocess.CompletedProcess[str]:
    """The script as its users run it: from anywhere, knowing only a port."""
    file = directory / "texts.json"
    file.write_text(json.dumps(texts), encoding="utf-8")
    command = [sys.executable, str(report_client.__file__), str(file), str(directory)]
    env = {**os.environ, "TTS_PORT": str(server.port)}
    return subprocess.run(command, env=env, cwd=directory, capture_output=True, text=True, timeout=180, check=False)


@pytest.mark.slow
def test_client_speaks_every_language(local_server: Server, tmp_path: Path) -> None:
    assert set(TEXTS) > set(REPORT_LANGUAGES) and len(TEXTS) == 17
    done = run_client(local_server, TEXTS, tmp_path)
    assert done.returncode == 0, done.stderr
    for language, text in TEXTS.items():
        pcm = pcm_of_wav((tmp_path / f"{language}.wav").read_bytes())
        assert len(pcm) == num_samples(num_codes(text, language)), language
        assert 500 < abs(pcm.astype(int)).max() < 32_767


@pytest.mark.parametrize(("texts", "status"), [({"ko": ""}, 400), ({"en": " \n "}, 400), ({"en": "a" * 30_000}, 422)])
def test_client_reads_errors_by_status(
    local_server: Server, tmp_path: Path, texts: dict[str, str], status: int
) -> None:
    done = run_client(local_server, texts, tmp_path)
    assert done.returncode == 1
    assert f"TTS failed with HTTP {status}" in done.stderr
    assert list(tmp_path.glob("*.wav")) == []


def test_language_left_out_is_korean(local_server: Server) -> None:
    with local_server.client() as client:
        left_out, korean, english = (
            client.post(REPORT, json={"text": TEXTS["ko"], "seed": 1, **extra}).json()["audio_base64"]
            for extra in ({}, {"lang": "ko"}, {"lang": "en"})
        )
    assert left_out == korean != english


def test_answer_says_what_it_holds(local_server: Server) -> None:
    with local_server.client() as client:
        answer = client.post(REPORT, json={"text": TEXTS["en"], "lang": "en"}).json()
    samples = num_samples(num_codes(TEXTS["en"], "en"))
    assert answer["sample_rate"] == 24_000
    assert answer["duration_s"] == pytest.approx(samples / 24_000)
    assert set(answer["timings"]) == {"text", "voice", "queue", "first_audio", "synthesis", "encoding"}
    assert 0 < sum(answer["timings"][stage] for stage in ("text", "voice", "synthesis")) < answer["processing_time"]
    assert any("random weights" in warning for warning in answer["warnings"])

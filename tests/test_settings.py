"""Settings come from our variables alone, and a misspelt one is an error instead of a default."""

import pytest
from pydantic import ValidationError

from serve_app.errors import SettingsError
from serve_app.settings import Settings, make_settings


def test_variable_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XTTS_MAX_SLOTS", "3")
    assert Settings().max_slots == 3


def test_argument_counts_more_than_a_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XTTS_MAX_SLOTS", "3")
    assert Settings(max_slots=5).max_slots == 5


@pytest.mark.parametrize(("name", "likely"), [("XTTS_MODLE", "XTTS_MODEL"), ("XTTS_METRIC_PORT", "XTTS_METRICS_PORT")])
def test_misspelt_variable_is_an_error(monkeypatch: pytest.MonkeyPatch, name: str, likely: str) -> None:
    monkeypatch.setenv(name, "3")
    with pytest.raises(ValidationError, match=f"no setting {name}; did you mean {likely}"):
        Settings()


def test_slots_follow_the_device() -> None:
    assert Settings().num_slots(is_gpu=True) > Settings().num_slots(is_gpu=False) > 0
    assert Settings(max_slots=3).num_slots(is_gpu=True) == 3


def test_service_links_of_kubernetes_are_no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """As a pod gets them where Services named `xtts` and `xtts-head-svc` exist."""
    address = "tcp://10.0.0.7:8100"
    for name, value in {
        "XTTS_PORT": address,
        "XTTS_PORT_8100_TCP": address,
        "XTTS_PORT_8100_TCP_ADDR": "10.0.0.7",
        "XTTS_SERVICE_HOST": "10.0.0.7",
        "XTTS_SERVICE_PORT_HTTP": "8100",
        "XTTS_HEAD_SVC_SERVICE_HOST": "10.0.0.7",
        "XTTS_HEAD_SVC_PORT": address,
    }.items():
        monkeypatch.setenv(name, value)
    assert Settings().port == 8100


@pytest.mark.parametrize(
    "url", ["", "s3://bucket", "s3://bucket/", "s3://my.bucket-1/a/b_c/v1.0", "gs://b/c", "az://box/c"]
)
def test_bucket_for_voices_is_accepted(url: str) -> None:
    assert Settings(voice_url=url).voice_url == url


@pytest.mark.parametrize(
    "url",
    [
        *("file:///data/voices", "/data/voices", "http://host/bucket", "https://bucket.s3.amazonaws.com", "memory:///"),
        *("s3:", "s3://", "s3:///prefix", "bucket/prefix", "s3://bucket/../other", "s3://bucket//a", "s3://bucket/a b"),
        *("s3://id:hunter2@bucket/prefix", "s3://bucket/p?sig=hunter2", "s3://bucket/p#hunter2", "s3://bucket\n/p"),
    ],
)
def test_wrong_place_for_voices_is_refused_and_not_repeated(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("XTTS_VOICE_URL", url)
    with pytest.raises(SettingsError, match=r"voice_url: .* s3://BUCKET/PREFIX") as caught:
        make_settings()
    assert "hunter2" not in str(caught.value)
    with pytest.raises(ValidationError) as refused:
        Settings()
    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize(
    "text",
    [
        "anna=/models/anna,news=synthetic:tiny",
        " anna = /models/anna , news=synthetic:tiny, ",
        '{"anna": "/models/anna", "news": "synthetic:tiny"}',
    ],
)
def test_further_models_are_read_from_text_or_json(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    expected = {"anna": "/models/anna", "news": "synthetic:tiny"}
    assert make_settings(extra_models=expected).extra_models == expected
    monkeypatch.setenv("XTTS_EXTRA_MODELS", text)
    assert Settings().extra_models == expected


@pytest.mark.parametrize(
    "text",
    [
        *("anna", "=x", "anna=", "anna=a,anna=b", "default=a", "an na=a", "-a=b", f"{65 * 'a'}=b", '{"a"', '{"a": 1}'),
        ",".join(f"m{number}=x" for number in range(101)),
    ],
)
def test_further_models_with_wrong_names_or_none_are_refused(text: str) -> None:
    with pytest.raises(SettingsError, match="extra_models"):
        make_settings(extra_models=text)

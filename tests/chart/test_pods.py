"""Every pod of the chart: what it may do, what it mounts, and how it starts and ends."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from helm.manifests import manifests
from serve_app.api.authentication import OPEN_PATHS
from serve_app.api.keys import KeyRing, new_key
from serve_app.cli import app
from serve_app.deployment.own_cluster import SHUTDOWN_MARGIN_S
from serve_app.settings import make_settings
from tests.chart.support import NAMES, all_pods, application, ci_values, containers, environment, objects, of_kind, one

UID = 10001  # of the image
DOCKERFILE = Path(__file__).parents[2] / "Dockerfile"


@pytest.mark.parametrize("name", NAMES)
def test_no_pod_may_more_than_it_needs(name: str) -> None:
    for component, pod in all_pods(objects(name)).items():
        context = pod["spec"]["securityContext"]
        assert (context["runAsNonRoot"], context["runAsUser"], context["fsGroup"]) == (True, UID, UID), component
        assert context["seccompProfile"] == {"type": "RuntimeDefault"}
        assert pod["spec"]["enableServiceLinks"] is False
        assert pod["spec"].get("automountServiceAccountToken") is False or component == "head"
        for each in containers(pod):
            assert each["securityContext"]["capabilities"] == {"drop": ["ALL"]}
            assert each["securityContext"]["allowPrivilegeEscalation"] is False
            assert each["securityContext"]["readOnlyRootFilesystem"] is True
            assert {"cpu", "memory"} <= set(each["resources"]["limits"]) and each["resources"]["requests"]


def test_user_is_the_images() -> None:
    assert f"USER {UID}:{UID}" in DOCKERFILE.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", NAMES)
def test_every_mount_has_its_volume_and_every_volume_a_mount(name: str) -> None:
    for component, pod in all_pods(objects(name)).items():
        mounted = {mount["name"] for each in containers(pod) for mount in each["volumeMounts"]}
        assert mounted == {each["name"] for each in pod["spec"]["volumes"]}, component


@pytest.mark.parametrize("name", NAMES)
def test_every_container_can_write_to_its_home(name: str) -> None:
    for pod in all_pods(objects(name)).values():
        for each in containers(pod):
            if "env" in each:
                assert environment(each)["HOME"] in {mount["mountPath"] for mount in each["volumeMounts"]}


@pytest.mark.parametrize("name", NAMES)
def test_every_command_is_one_of_the_programs(name: str) -> None:
    known = get_command(app).commands  # type: ignore[attr-defined]
    for pod in all_pods(objects(name)).values():
        for each in containers(pod):
            args = each.get("args", [])
            if args[:3] == ["python", "-m", "serve_app"]:
                options = {flag for parameter in known[args[3]].params for flag in parameter.opts}
                assert [each for each in args[4:] if each.startswith("--") and each not in options] == []
            else:
                assert args[:1] in ([], ["python"], ["bash"], ["locust"])


@pytest.mark.parametrize("name", NAMES)
def test_keys_and_claims_that_are_mounted_exist_or_are_the_readers(name: str) -> None:
    found, given = objects(name), str(ci_values(name))
    claims = {each["metadata"]["name"] for each in of_kind(found, "PersistentVolumeClaim")}
    for pod in all_pods(found).values():
        for volume in pod["spec"]["volumes"]:
            if "persistentVolumeClaim" in volume:
                claim = volume["persistentVolumeClaim"]["claimName"]
                assert claim in claims or f"'{claim}'" in given
            if "secret" in volume:
                assert f"'{volume['secret']['secretName']}'" in given


@pytest.mark.parametrize(
    ("name", "components", "url", "secrets"),
    [
        ("object-store", ["engine", "ingress"], "s3://voices/xtts", ["voices-bucket"]),
        ("deployment-hpa", ["server"], "s3://example-voices/xtts", []),
        ("cpu", ["engine", "ingress"], None, []),
    ],
)
def test_voices_are_in_the_bucket_or_on_a_volume(
    name: str, components: list[str], url: str | None, secrets: list[str]
) -> None:
    """Which engines and ingresses share: the latter keep what users made."""
    found = objects(name)
    given = application(one(found, "RayService"))["args"] if "engine" in components else service_environment(name)
    assert given.get("voice_url", given.get("XTTS_VOICE_URL")) == url
    assert ("voice_dir" in given or "XTTS_VOICE_DIR" in given) == (url is None)
    for each, pod in all_pods(found).items():
        is_on_volume = "voices" in {volume["name"] for volume in pod["spec"]["volumes"]}
        assert is_on_volume == (url is None and each in components)
        sources = [source["secretRef"]["name"] for c in containers(pod) for source in c.get("envFrom", [])]
        assert sources == (secrets if each in components else [])
    assert "max_voices" not in given and "XTTS_MAX_VOICES" not in given


@pytest.mark.parametrize("name", ["minimal", "deployment"])
def test_users_make_no_voices_where_pods_share_no_place_for_them(name: str) -> None:
    found = objects(name)
    is_ray = bool(of_kind(found, "RayService"))
    given = application(one(found, "RayService"))["args"] if is_ray else service_environment(name)
    assert int(given["max_voices" if is_ray else "XTTS_MAX_VOICES"]) == 0


@pytest.mark.parametrize(
    ("name", "component"), [("cpu", "ingress"), ("everything", "ingress"), ("deployment-hpa", "server")]
)
def test_jobs_are_on_a_claim_that_http_replicas_share(name: str, component: str) -> None:
    found = objects(name)
    given = application(one(found, "RayService"))["args"] if component == "ingress" else service_environment(name)
    assert given.get("job_dir", given.get("XTTS_JOB_DIR")) == "/data/jobs"
    assert "max_jobs" not in given and "XTTS_MAX_JOBS" not in given
    for each, pod in all_pods(found).items():
        assert ("jobs" in {volume["name"] for volume in pod["spec"]["volumes"]}) == (each == component)
        mounts = {mount["mountPath"] for c in containers(pod) for mount in c.get("volumeMounts", [])}
        assert ("/data/jobs" in mounts) == (each == component)


@pytest.mark.parametrize("name", ["minimal", "deployment"])
def test_there_are_no_jobs_where_pods_share_no_place_for_them(name: str) -> None:
    found = objects(name)
    is_ray = bool(of_kind(found, "RayService"))
    given = application(one(found, "RayService"))["args"] if is_ray else service_environment(name)
    assert int(given["max_jobs" if is_ray else "XTTS_MAX_JOBS"]) == 0


def test_bucket_is_opened_by_the_accounts_identity() -> None:
    account = one(objects("deployment-hpa"), "ServiceAccount")
    assert account["metadata"]["annotations"] == {
        "eks.amazonaws.com/role-arn": "arn:aws:iam::123456789012:role/xtts-voices"
    }
    pod = all_pods(objects("deployment-hpa"))["server"]["spec"]
    assert pod["serviceAccountName"] == account["metadata"]["name"]


def service_environment(name: str) -> dict[str, Any]:
    return environment(all_pods(objects(name))["server"]["spec"]["containers"][0])


@pytest.mark.parametrize("name", ["deployment", "deployment-hpa", "deployment-keda"])
def test_variables_of_a_plain_pod_are_settings(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Made of what the pod's environment says, by the service's own reading of it."""
    for variable, value in service_environment(name).items():
        if variable.startswith("XTTS_"):
            monkeypatch.setenv(variable, value)
    settings = make_settings()
    assert (settings.host, settings.port, settings.metrics_port) == ("0.0.0.0", 8000, 9464)
    assert settings.max_engine_replicas == 1  # pods are what is scaled
    assert settings.model == ("xtts_v2" if name == "deployment-keda" else "mini")
    assert settings.log_format == "json"


def test_further_models_arrive_in_a_plain_pod(monkeypatch: pytest.MonkeyPatch) -> None:
    values = {**ci_values("models"), "mode": "deployment"}
    (server,) = all_pods(list(manifests(values)))["server"]["spec"]["containers"]
    for variable, value in environment(server).items():
        if variable.startswith("XTTS_"):
            monkeypatch.setenv(variable, value)
    settings = make_settings()
    assert settings.extra_models == values["settings"]["extra_models"]
    assert settings.max_model_bytes == values["settings"]["max_model_bytes"]


def test_misspelt_variable_stops_the_service(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that a variable of the chart that the service does not know is found above."""
    monkeypatch.setenv("XTTS_MAX_SLOT", "1")
    with pytest.raises(Exception, match="did you mean XTTS_MAX_SLOTS"):
        make_settings()


@pytest.mark.parametrize("name", ["deployment", "deployment-hpa", "deployment-keda"])
def test_plain_pod_starts_in_its_time_and_ends_after_its_streams(name: str) -> None:
    pod = all_pods(objects(name))["server"]["spec"]
    (server,) = pod["containers"]
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        assert server[probe]["httpGet"]["path"] in OPEN_PATHS
    assert server["livenessProbe"]["httpGet"]["path"] != server["readinessProbe"]["httpGet"]["path"]
    assert server["startupProbe"]["periodSeconds"] * server["startupProbe"]["failureThreshold"] >= 900
    pause_s = int(server["lifecycle"]["preStop"]["exec"]["command"][-1])
    longest_s = float(service_environment(name)["XTTS_SHUTDOWN_TIMEOUT_S"])
    assert pod["terminationGracePeriodSeconds"] >= pause_s + longest_s + SHUTDOWN_MARGIN_S + 30


@pytest.mark.parametrize("name", ["deployment", "deployment-hpa", "deployment-keda"])
def test_plain_service_finds_its_pods(name: str) -> None:
    found = objects(name)
    selector = one(found, "Service")["spec"]["selector"]
    deployment = one(found, "Deployment")["spec"]
    assert selector == deployment["selector"]["matchLabels"]
    assert selector.items() <= deployment["template"]["metadata"]["labels"].items()
    assert ("replicas" in deployment) == (name == "deployment")  # an autoscaler's, where there is one


@pytest.mark.parametrize(
    ("name", "component", "volume", "init"),
    [
        ("minimal", "engine", None, None),
        ("gpu-xtts", "engine", "persistentVolumeClaim", "wait-for-weights"),
        ("gpu-shared", "engine", "emptyDir", "download"),
        ("hostpath", "engine", "hostPath", "download"),
        ("baked", "engine", None, None),
        ("tuned", "engine", "persistentVolumeClaim", None),
        ("models", "engine", "persistentVolumeClaim", "wait-for-weights"),
        ("deployment-keda", "server", "persistentVolumeClaim", "wait-for-weights"),
    ],
)
def test_weights_come_from_where_they_should(name: str, component: str, volume: str | None, init: str | None) -> None:
    found = objects(name)
    pod = all_pods(found)[component]["spec"]
    volumes = {each["name"]: set(each) - {"name"} for each in pod["volumes"]}
    assert volumes.get("models") == ({volume} if volume else None)
    assert [each["name"] for each in pod.get("initContainers", [])] == ([init] if init else [])
    has_job = any("-download-" in each["metadata"]["name"] for each in of_kind(found, "Job"))
    assert has_job == (init == "wait-for-weights")
    mounts = {each["name"]: each for each in pod["containers"][0]["volumeMounts"]}
    assert mounts.get("models", {"readOnly": True})["readOnly"] is True


def test_download_writes_what_engines_wait_for_and_read() -> None:
    found = objects("gpu-xtts")
    args = application(one(found, "RayService"))["args"]
    download = environment(all_pods(found)["download"]["spec"]["containers"][0])
    wait = all_pods(found)["engine"]["spec"]["initContainers"][0]["args"][-1]
    assert download["XTTS_MODEL_CACHE"] == args["model_cache"] == "/data/models"
    assert f"{args['model_cache']}/{download['XTTS_MODEL']}/verified.json" in wait
    assert download["XTTS_ACCEPT_CPML"] == "true"
    assert "HF_TOKEN" not in download
    with_token = environment(all_pods(objects("gpu-shared"))["engine"]["spec"]["initContainers"][0])
    assert with_token["HF_TOKEN"] == {"secretKeyRef": {"name": "hub", "key": "token"}}


def test_job_of_another_image_is_another_job() -> None:
    """Kubernetes refuses to change one."""
    values = ci_values("gpu-xtts")
    names = {one(manifests({**values, "image": {"tag": tag}}), "Job")["metadata"]["name"] for tag in ("1", "1", "2")}
    assert len(names) == 2


@pytest.mark.parametrize(("name", "component"), [("gpu-xtts", "ingress"), ("deployment-keda", "server")])
def test_keys_are_where_the_service_reads_them(name: str, component: str) -> None:
    found = objects(name)
    pod = all_pods(found)[component]["spec"]
    (mount,) = [each for each in pod["containers"][0]["volumeMounts"] if each["name"] == "api-keys"]
    given = application(one(found, "RayService"))["args"] if component == "ingress" else service_environment(name)
    path = given.get("api_keys_file") or given["XTTS_API_KEYS_FILE"]
    assert path == f"{mount['mountPath']}/keys"
    assert "subPath" not in mount  # or a changed secret would never arrive


def test_keys_of_a_secret_are_the_programs(tmp_path: Path) -> None:
    """The file that docs/kubernetes.md puts into the secret is one that the service accepts."""
    _, line = new_key("team-a")
    (tmp_path / "keys").write_text(line + "\n", encoding="utf-8")
    KeyRing(tmp_path / "keys")


def speech_test(name: str) -> dict[str, Any]:
    return all_pods(objects(name))["test"]["spec"]["containers"][0]


@pytest.mark.parametrize(
    ("audio", "is_speech"),
    [
        (b"RIFF\x00\x00\x00\x00WAVE" + bytes(30_000), True),
        (b"RIFF\x00\x00\x00\x00WAVE", False),
        (b"{}" * 30_000, False),
    ],
)
def test_helm_test_knows_speech_from_something_else(audio: bytes, is_speech: bool, tmp_path: Path) -> None:
    """Its script, run against a server that answers so."""
    from http.server import BaseHTTPRequestHandler, HTTPServer
    from threading import Thread

    asked: list[tuple[str, str | None]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            asked.append((self.path, self.headers["authorization"]))
            self.send_response(200)
            self.end_headers()
            self.wfile.write(audio)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.handle_request)
    thread.start()
    script = speech_test("minimal")["args"][-1].replace("xtts-serve:8100", f"127.0.0.1:{server.server_address[1]}")
    command = [sys.executable, "-c", script]
    finished = subprocess.run(command, env={"API_KEY": "secret"}, capture_output=True, text=True, timeout=30)
    thread.join()
    server.server_close()
    assert (finished.returncode == 0) == is_speech, finished.stderr
    assert asked == [("/v1/audio/speech", "Bearer secret")]


def test_helm_test_has_a_key_where_the_service_wants_one() -> None:
    assert "API_KEY" in environment(speech_test("gpu-xtts"))
    assert "API_KEY" not in environment(speech_test("minimal"))


def test_finetuning_is_off_unless_asked_for() -> None:
    assert [name for name in NAMES if "finetune" in all_pods(objects(name))] == [
        "everything",
        "finetune-job",
        "finetune-rayjob",
    ]
    container = all_pods(objects("finetune-job"))["finetune"]["spec"]["containers"][0]
    assert container["args"][-4:] == ["--voice", "anna", "--steps", "4000"]
    assert container["resources"]["limits"]["nvidia.com/gpu"] == "1"

"""A service as Prometheus sees it, healthy and otherwise: series by source, for promtool."""

from dataclasses import dataclass

from serve_app.monitoring.expressions import Source
from tests.monitoring.promtool import Scenario

STEPS = 1600  # of a scenario at most
SPEECH = 'route="/v1/audio/speech"'
Series = dict[str, str]


def always(value: float) -> str:
    return f"{value:g}x{STEPS}"


def growing(by: float) -> str:
    return f"0+{by:g}x{STEPS}"


def born(value: float, after: int = 40) -> str:
    """Nothing, then a counter that stands where it was first seen."""
    return f"_x{after} {value:g}x{STEPS}"


@dataclass(frozen=True)
class Service:
    """Its series, with the labels that the source gives them."""

    source: Source

    def http(self, name: str, *labels: str) -> str:
        return self._series(name, "Ingress", "i1", *labels)

    def engine(self, name: str, *labels: str, replica: str = "e1") -> str:
        return self._series(name, "Engine", replica, *labels)

    def _series(self, name: str, deployment: str, replica: str, *labels: str) -> str:
        if self.source.is_ray:
            own = ('application="default"', f'deployment="{deployment}"', f'replica="{replica}"')
        else:
            own = ('job="xtts"', 'instance="xtts:9464"')
        labels_there = ",".join(('namespace="tts"', *own, *labels))
        return f"{self.source.prefix}{name}{{{labels_there}}}"

    def requests(self, code: str, status: int, route: str = SPEECH) -> str:
        return self.http("xtts_requests_total", route, f'status="{status}"', f'code="{code}"')

    def first_audios(self, on_time: str, all_of_them: str) -> Series:
        name = "xtts_first_audio_seconds"
        return {
            self.http(f"{name}_bucket", SPEECH, 'le="1.0"'): on_time,
            self.http(f"{name}_bucket", SPEECH, 'le="+Inf"'): all_of_them,
            self.http(f"{name}_count", SPEECH): all_of_them,
        }

    @property
    def idle(self) -> Series:
        """Ready, with nobody there. With Ray, gauges are gone when nothing sets them."""
        if not self.source.is_ray:
            return {self.engine("xtts_slots"): always(16), self.engine("xtts_oldest_wait_seconds"): always(0)}
        return {
            self.engine("xtts_codes_total"): always(144),
            **self.deployment("Engine", "e1"),
            **self.deployment("Ingress", "i1"),
        }

    def deployment(self, name: str, *replicas: str, target: int = 1) -> Series:
        """As Ray's controller sees it."""
        own = f'namespace="tts",application="default",deployment="{name}"'
        return {
            f"ray_serve_autoscaling_target_replicas{{{own}}}": always(target),
            f"ray_serve_deployment_status{{{own}}}": always(6),
            **{f'ray_serve_deployment_replica_healthy{{{own},replica="{each}"}}': always(1) for each in replicas},
        }

    @property
    def busy(self) -> Series:
        """As it should be at a request a second."""
        return {
            **self.idle,
            self.requests("ok", 200): growing(15),
            self.requests("ok", 503, 'route="/health/ready"'): growing(15),  # of an ingress whose engine still loads
            **self.first_audios(growing(14.9), growing(15)),
            self.http("xtts_audio_seconds_total", SPEECH): growing(60),
            self.engine("xtts_sentences_total", 'outcome="finished"'): growing(30),
            self.engine("xtts_slots"): always(16),
            self.engine("xtts_slots_used"): always(9),
            self.engine("xtts_oldest_wait_seconds"): always(0.3),
            self.engine("xtts_gpu_memory_bytes"): always(24e9),
            self.engine("xtts_gpu_memory_used_bytes"): always(12e9),
        }


def scenarios(source: Source) -> list[Scenario]:
    """For each alert: it fires when it must, and not when it only looks like it."""
    service = Service(source)
    found = [*_quiet(service), *_requests(service), *_first_audios(service), *_engine(service)]
    return found + (_ray(service) if source.is_ray else _local(service))


def _fires(name: str, series: Series, at: str, *alerts: str, interval: str = "15s") -> Scenario:
    return Scenario(name, series, at, frozenset(alerts), interval)


def _quiet(service: Service) -> list[Scenario]:
    return [
        _fires("nobody there", service.idle, "90m"),
        _fires("a request a second", service.busy, "90m"),
        _fires("a day of it", service.busy, "26h", interval="4m"),
    ]


def _requests(service: Service) -> list[Scenario]:
    busy, failed, cut = service.busy, service.requests("engine_failed", 500), service.requests("truncated", 200)
    refused = service.requests("overloaded", 429)
    limited = service.requests("rate_limited", 429)
    underruns = service.http("xtts_underruns_total")
    return [
        _fires("one of ten fails", {**busy, failed: growing(1.6)}, "20m", "XttsErrors"),
        _fires("one of ten streams is cut", {**busy, cut: growing(1.6)}, "20m", "XttsErrors"),
        _fires(
            "half fail one way, half the other", {**busy, failed: growing(0.6), cut: growing(0.6)}, "20m", "XttsErrors"
        ),
        _fires("one of a hundred fails", {**busy, failed: growing(0.15)}, "20m"),
        _fires("all of a few fail at once", {**service.idle, failed: born(6)}, "13m", "XttsErrors"),
        _fires("and are forgotten", {**service.idle, failed: born(6)}, "20m"),
        _fires("three fail at night", {**service.idle, failed: born(3)}, "13m"),
        _fires("callers make mistakes", {**busy, service.requests("empty_text", 400): growing(15)}, "20m"),
        _fires("clients leave", {**busy, service.requests("client_left", 200): growing(15)}, "20m"),
        _fires("a third is refused", {**busy, refused: growing(7)}, "20m", "XttsRefusals"),
        _fires("a few are refused", {**busy, refused: growing(0.3)}, "20m"),
        _fires("one client is over its limits", {**busy, limited: growing(7)}, "20m"),
        _fires("streams stutter", {**busy, underruns: growing(3)}, "20m", "XttsUnderruns"),
        _fires("streams stutter seldom", {**busy, underruns: growing(0.5)}, "20m"),
    ]


def _first_audios(service: Service) -> list[Scenario]:
    def late(share: float, minutes: int, since: int = 0) -> Series:
        """After a good day, at one first audio a second, and samples each two minutes."""
        on_time = f"0+120x780 93600+{120 * (1 - share):g}x{minutes // 2}"
        last = 93600 + 120 * (1 - share) * (minutes // 2)
        return {
            **service.busy,
            **service.first_audios(
                f"{on_time} {last:g}+120x{since // 2}", f"0+120x780 93600+120x{(minutes + since) // 2}"
            ),
        }

    fast, slowly = "XttsFirstAudioBurnsFast", "XttsFirstAudioBurnsSlowly"
    few = {**service.busy, **service.first_audios(growing(0), growing(0.01))}
    return [
        _fires("nine of ten come late for an hour", late(0.9, 66), "27h5m", fast, interval="2m"),
        _fires("four of ten come late for five hours", late(0.4, 302), "31h", fast, slowly, interval="2m"),
        _fires("two of ten come late for an hour", late(0.2, 66), "27h5m", interval="2m"),
        _fires("they came late for an hour, and no more", late(0.9, 60, since=40), "27h38m", interval="2m"),
        _fires("three of three come late at night", few, "65m"),
        _fires("two of ten come late for a day", late(0.2, 1440), "49h", slowly, interval="2m"),
        _fires("one of twenty-five comes late for a day", late(0.04, 1440), "49h", interval="2m"),
    ]


def _engine(service: Service) -> list[Scenario]:
    busy = service.busy
    wait, used = service.engine("xtts_oldest_wait_seconds"), service.engine("xtts_gpu_memory_used_bytes")
    guards = service.engine("xtts_guards_total", 'guard="ceiling"')
    memory = service.engine("xtts_out_of_memory_total", 'phase="decode"')
    return [
        _fires("a sentence waits long", {**busy, wait: always(8)}, "10m", "XttsQueueOld"),
        _fires("a sentence waits long for a moment", {**busy, wait: f"8x4 0x{STEPS}"}, "10m"),
        _fires("a full GPU", {**busy, used: always(23.5e9)}, "20m", "XttsGpuMemory"),
        _fires("a GPU that was full", {**busy, used: f"23500000000x20 12e9x{STEPS}"}, "20m"),
        _fires("no memory, once", {**busy, memory: born(1)}, "14m", "XttsOutOfMemory"),
        _fires("no memory, half an hour ago", {**busy, memory: born(1)}, "40m"),
        _fires("one of ten sentences is stopped", {**busy, guards: growing(3)}, "20m", "XttsGuards"),
        _fires("two sentences are stopped", {**busy, guards: born(2)}, "14m"),
    ]


def _ray(service: Service) -> list[Scenario]:
    busy = service.busy
    (healthy,) = (name for name in service.deployment("Engine", "e1") if "replica_healthy" in name)
    queued = 'ray_serve_deployment_queued_queries{namespace="tts",application="default",deployment="Engine",handle="h"}'
    target = next(name for name in service.deployment("Engine") if "target" in name)
    gone = dict.fromkeys(service.idle, f"1x40 _x{STEPS}")
    second = service.deployment("Engine", "e1", "e2", target=2)
    without = {name: values for name, values in busy.items() if name != healthy}
    return [
        _fires("the engine is unhealthy", {**busy, healthy: always(0)}, "5m", "XttsNoReadyReplica"),
        _fires("no engine was ever there", without, "5m", "XttsNoReadyReplica"),
        _fires("an engine is replaced in a minute", {**busy, healthy: f"1x20 0x4 1x{STEPS}"}, "8m"),
        _fires(
            "no ingress",
            {**busy, **service.deployment("Ingress"), **_without_ingress(service)},
            "5m",
            "XttsNoReadyReplica",
        ),
        _fires("one engine of three", {**busy, target: always(3)}, "20m", "XttsReplicasMissing"),
        _fires("more engines come", {**busy, target: always(3)}, "10m"),
        _fires("the whole service is gone", gone, "22m", "XttsMetricsMissing"),
        _fires("nothing was ever there", {"up{}": always(1)}, "10m", "XttsMetricsMissing"),
        _fires("a node is not scraped", {**busy, **second}, "10m", "XttsReplicaNotScraped"),
        _fires(
            "both nodes are", {**busy, **second, service.engine("xtts_codes_total", replica="e2"): always(1)}, "10m"
        ),
        _fires("requests find no replica", {**busy, queued: always(7)}, "10m", "XttsRequestsQueued"),
        _fires("requests find none for a moment", {**busy, queued: f"7x12 0x4 7x{STEPS}"}, "8m"),
    ]


def _without_ingress(service: Service) -> Series:
    return {name: always(0) for name in service.deployment("Ingress", "i1") if "replica_healthy" in name}


def _local(service: Service) -> list[Scenario]:
    slots = service.engine("xtts_slots")
    return [
        _fires("the model never loads", {**service.idle, slots: always(0)}, "10m", "XttsNoReadyReplica"),
        _fires("the model loads", {**service.idle, slots: f"0x12 16x{STEPS}"}, "10m"),
        _fires("the process is gone", {slots: f"16x40 _x{STEPS}"}, "22m", "XttsMetricsMissing"),
        _fires("nothing was ever there", {"up{}": always(1)}, "10m", "XttsMetricsMissing"),
    ]

"""What engines do: their queue and slots, their steps, their voices, their models, their GPUs."""

from serve_app import metrics
from serve_app.monitoring import ray_metrics
from serve_app.monitoring.expressions import Source, highest, share, total
from serve_app.monitoring.panel import GLANCE, WINDOW, Panel, Query, Unit, a_minute, quantiles


def queue(source: Source) -> tuple[Panel, ...]:
    num_steps = source.rate(metrics.STEP_SECONDS, WINDOW, 'phase="decode"', part="count")
    shown = (
        Panel(
            "Slots",
            "Sentences of all replicas. Waiting above zero with all slots used: full. Waiting with free slots: a "
            "replica hangs.",
            Unit.COUNT,
            (
                Query(total(source.select(metrics.SLOTS)), "slots"),
                Query(total(source.select(metrics.SLOTS_USED)), "used"),
                Query(total(source.select(metrics.SENTENCES_WAITING)), "waiting"),
            ),
        ),
        Panel(
            "Oldest wait",
            "Of each replica, how long the sentence has waited that waits longest. Above 5 s: add replicas. Growing "
            "while no codes are made: the replica hangs.",
            Unit.SECONDS,
            (Query(highest(source.select(metrics.OLDEST_WAIT), (source.member,)), f"{{{{{source.member}}}}}"),),
            bad=5,
        ),
        Panel(
            "Sentences decoded together",
            "Rows of a step. Beside the slots, the mean says how well the batch is used; near the slots, it is full.",
            Unit.COUNT,
            (
                Query(f"{source.rate(metrics.CODES, WINDOW)} / {num_steps}", "mean"),
                Query(source.quantile(0.95, metrics.BATCH_ROWS, WINDOW), "p95"),
            ),
        ),
    )
    if not source.is_ray:
        return shown
    return (
        *shown,
        Panel(
            "Requests at Serve",
            "Of the engine deployment. Waiting above zero for minutes: no replica has room; see Autoscaling.",
            Unit.COUNT,
            (
                Query(total(source.select(ray_metrics.REQUESTS_AT_REPLICAS, 'deployment="Engine"')), "at replicas"),
                Query(total(source.select(ray_metrics.REQUESTS_QUEUED, 'deployment="Engine"')), "waiting"),
            ),
        ),
    )


def engine(source: Source) -> tuple[Panel, ...]:
    by_phase = source.rate(metrics.STEP_SECONDS, WINDOW, by=("phase",), part="sum")
    in_all = source.rate(metrics.STEP_SECONDS, WINDOW, part="sum")
    each = (source.member,)
    busy = source.rate(metrics.STEP_SECONDS, WINDOW, by=each, part="sum")
    estimated = " Ray estimates sums from the buckets: read it roughly." if source.is_ray else ""
    return (
        Panel(
            "Codes",
            "Audio codes, by replica: 21.5 make a second of speech. Zero while sentences wait: the replica hangs.",
            Unit.CODES,
            (Query(source.rate(metrics.CODES, WINDOW, by=each), f"{{{{{source.member}}}}}"),),
            is_stacked=True,
        ),
        Panel(
            "Speech made, handed out",
            "Seconds of audio a second. Made far above handed out: clients leave before they have heard it.",
            Unit.REAL_TIME,
            (
                Query(source.rate(metrics.MADE_SECONDS, WINDOW), "made"),
                Query(source.rate(metrics.AUDIO_SECONDS, WINDOW), "handed out"),
            ),
        ),
        Panel(
            "Step, by phase",
            "Seconds of a step's phases. Streams get audio between steps, so a long prefill or render delays all.",
            Unit.SECONDS,
            quantiles(source, metrics.STEP_SECONDS, (0.5, 0.95), "phase"),
        ),
        Panel(
            "Where a step's time goes",
            "Shares of the phases. Mostly render: the vocoder is the limit. Mostly prefill: many short sentences."
            + estimated,
            Unit.SHARE,
            (Query(f"{by_phase} / on() group_left() ({in_all} > 0)", "{{phase}}"),),
            is_stacked=True,
        ),
        Panel(
            "Engine at work",
            "Share of the wall's time spent in steps, by replica. Near one: this replica can give no more." + estimated,
            Unit.SHARE,
            (Query(busy, f"{{{{{source.member}}}}}"),),
        ),
        Panel(
            "Sentences by outcome",
            "`aborted`: clients left. `failed` above zero: guards or memory, see beside, and the log.",
            Unit.PER_MINUTE,
            (Query(a_minute(source, metrics.SENTENCES, by=("outcome",)), "{{outcome}}"),),
            is_stacked=True,
        ),
        Panel(
            "Guards and memory",
            "Counted in five minutes. Guards stop sentences with no end in sight (`ceiling`), in circles (`loop`), "
            "without numbers (`not_finite`) or memory; some are mended. Out of memory, a phase went on with less.",
            Unit.COUNT,
            (
                Query(source.growth(metrics.GUARDS, GLANCE, by=("guard",)), "guard {{guard}}"),
                Query(source.growth(metrics.MENDED, GLANCE, by=("by",)), "mended by {{by}}"),
                Query(source.growth(metrics.OUT_OF_MEMORY, GLANCE, by=("phase",)), "out of memory in {{phase}}"),
            ),
            empty="none was met yet",
        ),
    )


def voices(source: Source) -> tuple[Panel, ...]:
    found = source.growth(metrics.VOICES, GLANCE, 'found!="encoded"')
    return (
        Panel(
            "Voices by where found",
            "`encoded` costs the most: a reference nobody used before. Many of them at few voices: clients change the "
            "recording with each request, or the voice store is not shared.",
            Unit.PER_MINUTE,
            (Query(a_minute(source, metrics.VOICES, by=("found",)), "{{found}}"),),
            is_stacked=True,
            empty="no reference was sent",
        ),
        Panel(
            "Voices found in the cache",
            "Share of references whose voice was there, in five minutes. Low with few voices: see beside.",
            Unit.SHARE,
            (Query(share(found, source.growth(metrics.VOICES, GLANCE)), "found"),),
            empty="no reference was sent",
        ),
    )


def models(source: Source) -> tuple[Panel, ...]:
    each = (source.member,)
    legend = f"{{{{{source.member}}}}}"
    return (
        Panel(
            "Models loaded",
            "By replica. Those that are served and not loaded are loaded when they are asked for.",
            Unit.COUNT,
            (Query(highest(source.select(metrics.MODELS_LOADED), each), legend),),
        ),
        Panel(
            "Memory of models",
            "As measured when each was loaded, its slots at their fullest. XTTS_MAX_MODEL_BYTES is the bound.",
            Unit.BYTES,
            (Query(highest(source.select(metrics.MODELS_BYTES), each), legend),),
        ),
        Panel(
            "Models loaded and closed",
            "Counted in five minutes. The same ones again and again: more models are in use than memory holds; raise "
            "the bound, or add replicas.",
            Unit.COUNT,
            (
                Query(source.growth(metrics.MODEL_LOADS, GLANCE, by=("model", "outcome")), "{{model}} {{outcome}}"),
                Query(source.growth(metrics.MODEL_EVICTIONS, GLANCE, by=("model",)), "{{model}} closed"),
            ),
            empty="no further model was asked for",
        ),
        Panel(
            "Seconds to load a model",
            "Whoever asks for a model that is not loaded waits so long at least.",
            Unit.SECONDS,
            (
                Query(source.quantile(0.5, metrics.MODEL_LOAD_SECONDS, GLANCE), "p50"),
                Query(source.quantile(0.95, metrics.MODEL_LOAD_SECONDS, GLANCE), "p95"),
            ),
            empty="no further model was asked for",
        ),
    )


def gpu(source: Source) -> tuple[Panel, ...]:
    each = (source.member,)
    used, reserved, memory = (
        highest(source.select(metric), each)
        for metric in (metrics.GPU_MEMORY_USED, metrics.GPU_MEMORY_RESERVED, metrics.GPU_MEMORY)
    )
    legend = f"{{{{{source.member}}}}}"
    return (
        Panel(
            "GPU memory",
            "Of each replica's GPU. `used` far above `reserved`: others share the GPU. Replicas that share one show it "
            "twice.",
            Unit.BYTES,
            (
                Query(memory, f"in all {legend}"),
                Query(used, f"used {legend}"),
                Query(reserved, f"reserved {legend}"),
            ),
            empty="there is no GPU",
        ),
        Panel(
            "GPU memory used",
            "Share of the GPU's memory that anyone uses. Above 95 %: the next growth of a batch may find none.",
            Unit.SHARE,
            (Query(f"{used} / {memory}", legend),),
            bad=0.95,
            empty="there is no GPU",
        ),
        Panel(
            "GPU at work",
            "Share of the last second in which the GPU computed. Low while sentences wait: the CPU is the limit.",
            Unit.SHARE,
            (Query(highest(source.select(metrics.GPU_USE), each), legend),),
            empty="there is no GPU",
        ),
    )

"""The GPU's memory and use on their way to the metrics, from a thread of its own: NVML answers in milliseconds."""

import logging
import threading

import pynvml
import torch

from serve_app import metrics
from serve_app.metrics import Metrics

logger = logging.getLogger(__name__)

PERIOD_S = 5.0


class GpuReporter:
    """Of one CUDA device, from `start` to `stop`. Without NVML there are no such metrics, and the log says so."""

    def __init__(self, recorder: Metrics, device: torch.device) -> None:
        self._metrics, self._device = recorder, device
        self._is_stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="gpu-metrics", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._is_stopped.set()
        self._thread.join()

    def _run(self) -> None:
        try:
            pynvml.nvmlInit()
            # CUDA's own numbering may leave GPUs out and sort them otherwise; the UUID is the same everywhere.
            handle = pynvml.nvmlDeviceGetHandleByUUID(f"GPU-{torch.cuda.get_device_properties(self._device).uuid}")
            while not self._is_stopped.is_set():
                self._report(handle)
                self._is_stopped.wait(PERIOD_S)
        except pynvml.NVMLError as error:
            logger.warning("no metrics of the GPU: NVML says %s", error)

    def _report(self, handle: object) -> None:
        memory = pynvml.nvmlDeviceGetMemoryInfo(handle)
        self._metrics.set(metrics.GPU_MEMORY, float(memory.total))
        self._metrics.set(metrics.GPU_MEMORY_USED, float(memory.used))
        self._metrics.set(metrics.GPU_MEMORY_RESERVED, float(torch.cuda.memory_reserved(self._device)))
        self._metrics.set(metrics.GPU_USE, pynvml.nvmlDeviceGetUtilizationRates(handle).gpu / 100.0)

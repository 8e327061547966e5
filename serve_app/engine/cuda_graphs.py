"""Calls on a GPU that are captured once as CUDA graphs and replayed. Knows neither model nor slots.

A call reads and writes only memory that stays where it is, and copies nothing from or to the host. All graphs share one
pool for what a call holds in between, so they must be replayed one after another on one stream.
"""

import logging
import threading
from collections.abc import Callable

import torch

from serve_app.engine.config import EngineConfig
from serve_app.engine.memory import is_out_of_memory
from serve_app.model.device import stream_of

logger = logging.getLogger(__name__)

Call = Callable[..., None]  # of sizes, which make its shapes
_CAPTURING = threading.Lock()  # one at a time, on the one stream for it
HIGH_PRIORITY = -1  # of a stream, before others' 0


class Calls:
    """What is called as it is: on a CPU, or on a GPU whose calls are not captured."""

    def capture(self, call: Call, *sizes: int) -> None:
        """Nothing to do."""

    def run(self, call: Call, *sizes: int) -> None:
        call(*sizes)


def calls_on(device: torch.device, config: EngineConfig, priority: int = 0) -> Calls:
    """Captured where there is a GPU and graphs are wanted."""
    return CudaGraphs(device, priority) if device.type == "cuda" and config.uses_cuda_graphs else Calls()


class CudaGraphs(Calls):
    """One graph for each call and its sizes. What has no graph is called as it is: the same, slower."""

    def __init__(self, device: torch.device, priority: int = 0) -> None:
        """`priority`: of what is captured, over what other streams compute at the same time."""
        self._graphs: dict[tuple[Call, tuple[int, ...]], torch.cuda.CUDAGraph] = {}
        self._pool = torch.cuda.graph_pool_handle()
        self._stream = stream_of(device, "capture", priority)
        self._failed: list[torch.cuda.CUDAGraph] = []  # kept: torch's allocator may still point at them
        self._is_broken = False

    def __len__(self) -> int:
        return len(self._graphs)

    def capture(self, call: Call, *sizes: int) -> None:
        """Runs the call once, for what is set up the first time, and captures it; or, where that fails, does not.

        Other threads may use the GPU meanwhile, on other streams, but not give back torch's memory to it.
        """
        if self._is_broken:
            return
        with _CAPTURING:
            self._capture(call, *sizes)

    def _capture(self, call: Call, *sizes: int) -> None:
        graph, current = torch.cuda.CUDAGraph(), torch.cuda.current_stream()
        self._stream.wait_stream(current)
        try:
            with torch.cuda.stream(self._stream):  # torch's own context below forgets to leave it when it fails
                call(*sizes)
                with torch.cuda.graph(graph, self._pool, self._stream, capture_error_mode="thread_local"):
                    call(*sizes)
        except Exception as error:
            logger.warning("no CUDA graph of sizes %s: their steps are slow", sizes, exc_info=error)
            self._failed.append(graph)
            if not is_out_of_memory(error):
                self._is_broken = True
                self._end_allocations()
        else:
            self._graphs[call, sizes] = graph
        current.wait_stream(self._stream)

    def run(self, call: Call, *sizes: int) -> None:
        """What the call would do, on the current stream, by its graph where there is one."""
        graph = self._graphs.get((call, sizes))
        if graph is None:
            call(*sizes)
        else:
            graph.replay()

    def _end_allocations(self) -> None:
        """A capture that CUDA gave up leaves torch's allocator in the belief that it goes on."""
        try:
            torch._C._cuda_endAllocateToPool(self._stream.device_index, self._pool)
        except RuntimeError:
            logger.debug("the capture's end was told to the allocator")

"""Requests for a model go where it is loaded: replicas tell Serve's router what they hold, as multiplexed model ids.

`serve.multiplexed` would tell it too, and close a model that speaks: it unloads the one asked for longest ago, whatever
runs in it (Ray 2.60, `multiplex.py`). So models are kept by our own shelf, and only the telling is Ray's.
"""

import time

from ray import serve
from ray.serve._private.common import RequestRoutingInfo
from ray.serve.context import _get_global_client

DEFAULT_MODEL_ID = "default"  # no other model may be called so
REMINDER_S = 60.0  # a controller that started anew knows nothing


def model_id(name: str | None) -> str:
    """Of a request for the model; None is the default one."""
    return DEFAULT_MODEL_ID if name is None else name


class LoadedModels:
    """Of the replica that makes it. The first call connects to Serve's controller, later ones wait for nobody."""

    def __init__(self) -> None:
        self._replica_id = serve.get_replica_context().replica_id
        self._told: tuple[str | None, ...] = ()
        self._told_s = 0.0

    def tell(self, names: tuple[str | None, ...]) -> None:
        now_s = time.monotonic()
        if names == self._told and now_s < self._told_s + REMINDER_S:
            return
        ids = [model_id(name) for name in names]
        client = _get_global_client()
        assert client is not None, "a replica has Serve around it"
        client.record_request_routing_info(RequestRoutingInfo(self._replica_id, multiplexed_model_ids=ids))
        self._told, self._told_s = names, now_s

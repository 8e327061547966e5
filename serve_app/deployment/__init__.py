"""All of Ray: engine replicas that speak, ingress replicas that serve HTTP, and the application that joins them.

Loads no model itself and imports no torch: `SpeechService` is imported where an engine replica starts. Ray is given
two import paths: `serve_app.deployment:build_app` and `serve_app.deployment:proxy_middlewares`.
"""

from serve_app.deployment.application import build_app
from serve_app.deployment.proxy import proxy_middlewares

__all__ = ["build_app", "proxy_middlewares"]

"""What can be set from Locust's command line, its web page, or the environment, besides Locust's own options."""

from typing import Any

from locust import events

from loadtest.workload.presets import PRESETS


@events.init_command_line_parser.add_listener
def add_options(parser: Any, **_: Any) -> None:
    add = parser.add_argument
    add("--preset", choices=list(PRESETS), default="chat", env_var="LOADTEST_PRESET", help="kind of traffic (chat)")
    add("--traffic-seed", type=int, default=1, env_var="LOADTEST_SEED", help="of all that is drawn (1)")
    add("--think", type=float, default=1.0, env_var="LOADTEST_THINK", help="mean seconds between a user's requests (1)")
    add("--deadline", type=float, default=60.0, env_var="LOADTEST_DEADLINE", help="seconds a request may take (60)")
    add(
        "--recording",
        default="",
        env_var="LOADTEST_RECORDING",
        help="WAV, mono, 16 bit: whom users clone (the service)",
    )
    add("--voices", default="default", env_var="LOADTEST_VOICES", help="named voices, with commas (default)")
    hidden = {"is_secret": True, "include_in_web_ui": False}
    add("--api-key", default="", env_var="LOADTEST_API_KEY", help="where the service wants one", **hidden)
    add("--shape-users", type=int, default=32, env_var="LOADTEST_SHAPE_USERS", help="of a shape, at the most (32)")
    add("--shape-seconds", type=float, default=60.0, env_var="LOADTEST_SHAPE_SECONDS", help="of a shape's level (60)")

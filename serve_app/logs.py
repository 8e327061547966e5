"""What the process writes on stderr: lines for a person, or one JSON object a line for a collector."""

import json
import logging
import sys
import time
from typing import Literal

TEXT_WITH_TIME = "%(asctime)s %(message)s"
NOISY = ("TTS", "trainer", "fsspec", "httpx", "httpx2", "numba")  # libraries that tell what users need not know
SERVER = "uvicorn.error"  # it writes the whole address of each WebSocket, with whatever a client has put there


class JsonFormatter(logging.Formatter):
    """Time (UTC, ISO 8601), level, logger and message; the `facts` of a record are fields beside them."""

    def format(self, record: logging.LogRecord) -> str:
        whole_s = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        line: dict[str, object] = {
            "time": f"{whole_s}.{int(record.msecs):03}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
        }
        facts = getattr(record, "facts", None)
        line |= facts if isinstance(facts, dict) else {"message": record.getMessage()}
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False, default=str)


def configure(log_format: Literal["text", "json"], *, text_format: str = TEXT_WITH_TIME) -> None:
    """All loggers of this process to stderr; called again, it replaces what it did before."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter() if log_format == "json" else logging.Formatter(text_format, "%H:%M:%S"))
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    for name in (*NOISY, SERVER):
        logging.getLogger(name).setLevel(logging.WARNING)

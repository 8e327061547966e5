"""What a plan assumes besides measured times: a JSON file whose sections are the simulation's own nouns."""

from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, Field, ValidationError

from loadtest.planner.options import Cluster, Failure, Policy
from loadtest.planner.outcome import Objective
from loadtest.planner.profile import Strict
from loadtest.planner.workload import Workload
from serve_app.errors import SettingsError

Model = TypeVar("Model", bound=BaseModel)


class Assumptions(Strict):
    """Everything has a default; an unknown key is an error."""

    workload: Workload = Workload()
    objective: Objective = Objective()
    cluster: Cluster = Cluster()
    failures: tuple[Failure, ...] = ()
    policy: Policy = "service"
    upscale_delay_s: float = Field(default=5.0, ge=0.0)
    downscale_delay_s: float = Field(default=300.0, ge=0.0)


def load_model(kind: type[Model], path: Path, what: str) -> Model:
    """A file of JSON as a model. Raises `SettingsError` that names the file and every field that is wrong."""
    try:
        return kind.model_validate_json(path.read_bytes())
    except OSError as error:
        raise SettingsError(f"{path} cannot be read: {error.strerror}. Give the file of {what}.") from None
    except ValidationError as error:
        reasons = "; ".join(f"{'.'.join(map(str, each['loc'])) or 'it'}: {each['msg']}" for each in error.errors())
        raise SettingsError(f"{path} is no file of {what}: {reasons}. docs/capacity.md says what it holds.") from None

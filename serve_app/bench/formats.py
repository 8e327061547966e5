"""The number formats of our rows, by name. Loads no torch."""

from serve_app.settings import Settings

FORMATS = ("auto", "float32", "bfloat16", "float16", "int8")


def format_settings(settings: Settings, name: str) -> Settings:
    """Settings for one of our rows: `auto`, `int8`, or a dtype's name."""
    if name == "int8":
        return settings.model_copy(update={"quantization": "int8"})
    return settings.model_copy(update={"dtype": name, "quantization": "none"})

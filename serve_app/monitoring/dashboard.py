"""The panels as Grafana's dashboard JSON (Grafana 11 and newer)."""

import json
from typing import Any

from serve_app.monitoring import engine_panels, platform_panels, service_panels
from serve_app.monitoring.expressions import Source
from serve_app.monitoring.panel import Panel, Query, Row

SCHEMA_VERSION = 39
UID, TITLE = "xtts-serve", "XTTS v2 service"
COLUMNS, PANEL_HEIGHT, NUMBER_HEIGHT = 24, 8, 4
PANELS_IN_LINE = 3
DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}
GREEN, RED = "green", "red"


def dashboard(source: Source) -> dict[str, Any]:
    """Of the source's metrics, with variables that narrow it to one service."""
    chosen = source.scoped(*(f'{label}=~"${label}"' for label in source.group))
    return {
        "uid": UID if source.is_ray else f"{UID}-without-ray",
        "title": TITLE if source.is_ray else f"{TITLE}, without Ray",
        "description": "Made from the list of metrics by `make monitoring`; change it there.",
        "tags": ["xtts"],
        "schemaVersion": SCHEMA_VERSION,
        "editable": True,
        "graphTooltip": 1,  # one crosshair for all panels
        "refresh": "30s",
        "time": {"from": "now-1h", "to": "now"},
        "timezone": "browser",
        "templating": {"list": _variables(source)},
        "annotations": {"list": []},
        "links": [],
        "panels": _laid_out(rows(chosen)),
    }


def rows(source: Source) -> tuple[Row, ...]:
    """The dashboard from top to bottom."""
    return (
        Row("At a glance", service_panels.glance(source)),
        Row("Service", service_panels.service(source)),
        Row("Queue and slots", engine_panels.queue(source)),
        Row("Engine", engine_panels.engine(source)),
        Row("Jobs", service_panels.jobs(source)),
        Row("Voices", engine_panels.voices(source)),
        Row("Models", engine_panels.models(source)),
        Row("GPU", engine_panels.gpu(source)),
        Row("Autoscaling", platform_panels.ray_platform(source))
        if source.is_ray
        else Row("Process", platform_panels.process(source)),
    )


def dashboard_json(source: Source) -> str:
    return json.dumps(dashboard(source), indent=1, ensure_ascii=False) + "\n"


def _variables(source: Source) -> list[dict[str, Any]]:
    datasource = {"type": "datasource", "name": "datasource", "label": "Data source", "query": "prometheus"}
    return [{**datasource, "current": {}, "hide": 0}, *(_label_variable(source, label) for label in source.group)]


def _label_variable(source: Source, label: str) -> dict[str, Any]:
    """Its values are those of a counter that a replica has from its warm-up on."""
    query = f"label_values({source.prefix}xtts_codes_total, {label})"
    return {
        "type": "query",
        "name": label,
        "label": label.capitalize(),
        "datasource": DATASOURCE,
        "definition": query,
        "query": {"query": query, "refId": label},
        "refresh": 2,  # when the time range changes
        "sort": 1,
        "includeAll": True,
        "allValue": ".*",  # a label that nobody sets, too
        "multi": True,
        "current": {"selected": True, "text": ["All"], "value": ["$__all"]},
        "hide": 0,
    }


def _laid_out(all_rows: tuple[Row, ...]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    y = 0
    for row in all_rows:
        found.append(
            {"type": "row", "title": row.title, "collapsed": False, "panels": [], "gridPos": _place(0, y, COLUMNS, 1)}
        )
        y += 1
        in_line = len(row.panels) if row.panels[0].is_number else PANELS_IN_LINE
        height = NUMBER_HEIGHT if row.panels[0].is_number else PANEL_HEIGHT
        for index, panel in enumerate(row.panels):
            line, column = divmod(index, in_line)
            width = COLUMNS // in_line
            found.append({**_panel(panel), "gridPos": _place(column * width, y + line * height, width, height)})
        y += height * -(-len(row.panels) // in_line)
    return [{"id": number, **each} for number, each in enumerate(found, start=1)]


def _place(x: int, y: int, width: int, height: int) -> dict[str, int]:
    return {"x": x, "y": y, "w": width, "h": height}


def _panel(panel: Panel) -> dict[str, Any]:
    empty = f" Empty: {panel.empty}." if panel.empty else ""
    return {
        "type": "stat" if panel.is_number else "timeseries",
        "title": panel.title,
        "description": panel.description + empty,
        "datasource": DATASOURCE,
        "targets": [_target(panel, query, chr(ord("A") + index)) for index, query in enumerate(panel.queries)],
        "fieldConfig": {"defaults": _defaults(panel), "overrides": []},
        "options": _options(panel),
    }


def _target(panel: Panel, query: Query, name: str) -> dict[str, Any]:
    return {
        "refId": name,
        "datasource": DATASOURCE,
        "expr": query.expression,
        "legendFormat": query.legend,
        "range": not panel.is_number,
        "instant": panel.is_number,
        "editorMode": "code",
    }


def _defaults(panel: Panel) -> dict[str, Any]:
    steps: list[dict[str, Any]] = [{"color": RED if panel.good is not None else GREEN, "value": None}]
    if panel.good is not None:
        steps.append({"color": GREEN, "value": panel.good})
    if panel.bad is not None:
        steps.append({"color": RED, "value": panel.bad})
    defaults: dict[str, Any] = {"unit": panel.unit, "min": 0, "thresholds": {"mode": "absolute", "steps": steps}}
    if panel.names:
        shown = {str(value): {"index": index, "text": text} for index, (value, text) in enumerate(panel.names.items())}
        defaults["mappings"] = [{"type": "value", "options": shown}]
    if not panel.is_number:
        defaults["custom"] = {
            "drawStyle": "line",
            "lineWidth": 1,
            "fillOpacity": 30 if panel.is_stacked else 5,
            "showPoints": "never",
            "stacking": {"mode": "normal" if panel.is_stacked else "none", "group": "A"},
            "thresholdsStyle": {"mode": "dashed" if panel.bad is not None else "off"},
        }
    return defaults


def _options(panel: Panel) -> dict[str, Any]:
    if panel.is_number:
        last = {"calcs": ["lastNotNull"], "fields": "", "values": False}
        return {"reduceOptions": last, "colorMode": "value", "graphMode": "none", "textMode": "value"}
    return {
        "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True, "calcs": []},
        "tooltip": {"mode": "multi", "sort": "desc"},
    }

"""A dashboard in few words, and as the JSON that Grafana provisions (schema 39, Grafana 11 and later)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

_WIDTH: Final = 24
_HEIGHTS: Final = {"stat": 4, "timeseries": 8}
_DATASOURCE: Final = {"type": "prometheus", "uid": "weir-prometheus"}


@dataclass(frozen=True, slots=True)
class Panel:
    """One panel. ``queries`` are PromQL and the legend of its series; ``red_at`` colours a stat."""

    title: str
    about: str
    unit: str
    queries: tuple[tuple[str, str], ...]
    width: int = 8
    kind: str = "timeseries"
    red_at: float | None = None
    stacked: bool = False

    def document(self, number: int, x: int, y: int) -> dict[str, Any]:
        """As Grafana takes it."""
        return {
            "id": number,
            "type": self.kind,
            "title": self.title,
            "description": self.about,
            "datasource": _DATASOURCE,
            "gridPos": {"x": x, "y": y, "w": self.width, "h": self.height},
            "targets": [
                {"refId": chr(ord("A") + place), "datasource": _DATASOURCE, "expr": expr, "legendFormat": legend}
                for place, (expr, legend) in enumerate(self.queries)
            ],
            "fieldConfig": {"defaults": {"unit": self.unit, "min": 0, **self._look()}, "overrides": []},
            "options": self._options(),
        }

    @property
    def height(self) -> int:
        """In Grafana's rows of 30 pixels."""
        return _HEIGHTS[self.kind]

    def _look(self) -> dict[str, Any]:
        if self.kind == "stat":
            steps: list[dict[str, Any]] = [{"color": "green", "value": None}]
            if self.red_at is not None:
                steps.append({"color": "red", "value": self.red_at})
            return {"thresholds": {"mode": "absolute", "steps": steps}}
        stacking = "normal" if self.stacked else "none"
        return {
            "custom": {
                "drawStyle": "line",
                "fillOpacity": 20 if self.stacked else 5,
                "showPoints": "never",
                "stacking": {"mode": stacking},
            }
        }

    def _options(self) -> dict[str, Any]:
        if self.kind == "stat":
            return {"reduceOptions": {"calcs": ["lastNotNull"]}, "colorMode": "value", "graphMode": "area"}
        return {
            "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True},
            "tooltip": {"mode": "multi", "sort": "desc"},
        }


def stat(title: str, about: str, unit: str, expr: str, red_at: float | None = None) -> Panel:
    """A number, six to a row."""
    return Panel(title, about, unit, ((expr, ""),), width=4, kind="stat", red_at=red_at)


def dashboard(name: str, title: str, about: str, panels: Sequence[Panel]) -> dict[str, Any]:
    """All panels, row by row from the left; a new row begins where the next one does not fit, or is of another kind."""
    x = y = height = 0
    placed = []
    for number, panel in enumerate(panels, start=1):
        if x + panel.width > _WIDTH or panel.height != height:
            x, y = 0, y + height
        height = panel.height
        placed.append(panel.document(number, x, y))
        x += panel.width
    return {
        "uid": f"weir-{name}",
        "title": title,
        "description": about,
        "tags": ["weir"],
        "schemaVersion": 39,
        "version": 1,
        "editable": True,
        "refresh": "10s",
        "time": {"from": "now-30m", "to": "now"},
        "timezone": "browser",
        "links": [
            {"type": "dashboards", "tags": ["weir"], "title": "Weir", "asDropdown": False, "includeVars": False,
             "keepTime": True}
        ],
        "panels": placed,
    }  # fmt: skip

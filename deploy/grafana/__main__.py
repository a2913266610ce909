"""Writes the dashboards beside this file: `python -m deploy.grafana`."""

import json
from pathlib import Path
from typing import Any

from deploy.grafana.boards import DASHBOARDS


def rendered(document: dict[str, Any]) -> str:
    """A dashboard as its file holds it."""
    return json.dumps(document, indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    for name, document in DASHBOARDS.items():
        (Path(__file__).parent / "dashboards" / f"{name}.json").write_text(rendered(document))

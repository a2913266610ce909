"""`weir tail`: events as they arrive."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from deploy.cli.options import AsJson, DataDir, command_app
from deploy.endpoints import resolve_endpoints
from shared.settings import load_settings

if TYPE_CHECKING:
    from shared.stream_entry import Block, EventFrame

app = command_app()

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SHOWN_BYTES = 200


@app.command()
def tail(
    event_type: Annotated[list[str] | None, typer.Option("--type", help="Of this type; may be repeated.")] = None,
    client_id: Annotated[str | None, typer.Option("--client", help="Of this client.")] = None,
    limit: Annotated[int, typer.Option("--limit", min=0, help="End after so many; 0 goes on until Ctrl-C.")] = 0,
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> None:
    """Show events as they are accepted, one a line, with their payloads; they may yet prove duplicates, or fail.

    Asks Redis itself, outside of the consumer group. Example: `weir tail --type order.paid --limit 10`
    """
    import redis

    from deploy.connections import sync_redis
    from deploy.live.stream_tail import BLOCK_MS
    from deploy.live.stream_tail import tail as read_tail
    from shared.redis_functions import redis_outage

    settings = load_settings({"data_dir": data_dir})
    timeout_seconds = (settings.redis_timeout_ms + BLOCK_MS) / 1000
    shown = 0
    try:
        with sync_redis(resolve_endpoints(settings).redis_url, timeout_seconds) as client:
            for block, frame in read_tail(client, settings.stream_shards):
                if client_id not in (None, block.client_id) or (event_type and frame.event_type not in event_type):
                    continue
                print(_as_json(block, frame) if as_json else _as_line(block, frame), flush=True)
                shown += 1
                if shown == limit:
                    return
    except redis.RedisError as error:
        raise redis_outage(error) from error


def _facts(block: Block, frame: EventFrame) -> dict[str, Any]:
    occurred_us = block.received_us if frame.occurred_us is None else frame.occurred_us
    return {
        "event_id": frame.event_id,
        "client_id": block.client_id,
        "event_type": frame.event_type,
        "occurred_at": _EPOCH + timedelta(microseconds=occurred_us),
        "received_at": _EPOCH + timedelta(microseconds=block.received_us),
    }


def _as_json(block: Block, frame: EventFrame) -> str:
    import orjson

    facts = _facts(block, frame) | {"payload": orjson.Fragment(frame.payload), "replayed": block.replayed}
    return orjson.dumps(facts, option=orjson.OPT_UTC_Z).decode()


def _as_line(block: Block, frame: EventFrame) -> str:
    from deploy.failed.plain_text import plain_text

    received = _facts(block, frame)["received_at"]
    payload = frame.payload[:_SHOWN_BYTES].decode(errors="replace") + ("…" if len(frame.payload) > _SHOWN_BYTES else "")
    line = f"{received:%H:%M:%S.%f}  {block.client_id}  {frame.event_type}  {frame.event_id}  {payload}"
    return plain_text(line).replace("\n", "\\n")

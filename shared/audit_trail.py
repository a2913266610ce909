"""Writing audit records of calls that bring no events. A call whose record cannot be written is answered 503."""

from typing import Final

import redis.asyncio
from redis.exceptions import OutOfMemoryError, RedisError

from shared.api_keys import ApiKey
from shared.audit_record import encode_full_record, encode_record_head
from shared.problems import Problem
from shared.redis_functions import RedisFunction
from shared.redis_keys import ShardKeys
from shared.request_facts import RequestFacts, audit_shard

FULL_RETRY_SECONDS: Final = 5
_FULL: Final = -1


class AuditTrail:
    """The audit streams of all shards, as one service writes to them."""

    def __init__(
        self, client: "redis.asyncio.Redis", service: str, instance: str, shards: int, backlog_limit_records: int
    ) -> None:
        self._redis = client
        self._service = service
        self._instance = instance
        self._shards = shards
        self._limit = backlog_limit_records
        self._function = RedisFunction("shared", "record_request")

    async def record(
        self,
        facts: RequestFacts,
        api_key: ApiKey | None,
        route: str,
        status: int,
        error: str,
        *,
        bytes_in: int,
        bytes_out: int | None,
    ) -> None:
        """Record one call; it is safe in Redis on return. Raises Problem unavailable, backlog-full: it is not."""
        client_id = api_key.client_id if api_key else None
        key_id = api_key.public_id if api_key else None
        head = encode_record_head(
            facts.at_us, self._service, self._instance, client_id, key_id, facts.method, route, facts.path, facts.query,
            bytes_in, facts.address, facts.user_agent, facts.request_id,
        )  # fmt: skip
        await self._write(audit_shard(client_id, self._shards), [encode_full_record(head, status, error, bytes_out)])

    async def record_refused(self, refused: dict[tuple[str, int, str], tuple[int, int]]) -> None:
        """Record how many calls of strangers were refused: address, status and error to first time (us) and number."""
        records = []
        for (address, status, error), (first_us, calls) in refused.items():
            head = encode_record_head(
                first_us, self._service, self._instance, None, None, "", "unmatched", "", "", 0, address, "", ""
            )
            records.append(encode_full_record(head, status, error, None, calls))
        await self._write(audit_shard(None, self._shards), records)

    async def _write(self, shard: int, records: list[bytes]) -> None:
        audit = ShardKeys(shard).audit
        try:
            added = await self._function.call_async(
                self._redis, [audit.stream, audit.totals], b"".join(records), len(records), self._limit
            )
        except OutOfMemoryError as failure:  # asked before the function begins: none of it ran
            raise audit_full() from failure
        except RedisError as failure:
            raise Problem(
                "unavailable",
                "the audit record of this call cannot be written: Redis does not answer",
                retry_after=1,
            ) from failure
        if added == _FULL:
            raise audit_full()


def audit_full() -> Problem:
    """The 503 of a call whose record has no room: nothing is answered that is not recorded."""
    detail = "too many audit records wait to be stored, and no call is served without one; send it again later"
    return Problem("backlog-full", detail, retry_after=FULL_RETRY_SECONDS)

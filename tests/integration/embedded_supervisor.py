"""A supervisor to kill: starts both servers in the folder given, says so in one line of JSON, and stays.

A death of its own ends it after a minute, so that a failed test leaves nothing behind.
"""

import json
import sys
import time
from pathlib import Path

from deploy.embedded.errors import EmbeddedServerError
from deploy.embedded.postgres_server import EmbeddedPostgres
from deploy.embedded.redis_server import EmbeddedRedis


def main(folder: Path, postgres_bin_dir: Path | None) -> None:
    redis_server = EmbeddedRedis(folder / "redis")
    with redis_server as redis, EmbeddedPostgres(folder / "postgres", bin_dir=postgres_bin_dir) as postgres:
        told = {
            "redis_pid": redis.pid,
            "redis_url": redis.url,
            "postgres_pid": postgres.pid,
            "postgres_url": postgres.url,
            "versions": [redis.version, postgres.version],
        }
        print(json.dumps(told), flush=True)
        time.sleep(60)


if __name__ == "__main__":
    try:
        main(Path(sys.argv[1]), Path(sys.argv[2]) if len(sys.argv) > 2 else None)
    except EmbeddedServerError as error:
        print(json.dumps({"error": str(error)}), flush=True)

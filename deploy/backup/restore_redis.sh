#!/bin/bash
# Makes an append-only file of a copy: deploy/backup/restore_redis.sh FOLDER/redis.rdb DATA_FOLDER
#
# DATA_FOLDER is the `dir` of a Redis that does not run and has no appendonlydir there. A server of its own, which
# listens on no port, loads the copy and writes the append-only file; then start your Redis as ever, as the owner of
# the folder. REDIS_SERVER: another program than redis-server; of the same kind, and the same version or a later one.
set -euo pipefail
copy=$(realpath "${1:?say which copy}") data=$(realpath "${2:?say the dir of Redis}")
[[ ! -e $data/appendonlydir ]] || { echo "restore: $data/appendonlydir is there: move it away" >&2; exit 2; }
work=$(mktemp -d)
trap 'kill "$server" 2>/dev/null || true; rm -rf "$work" "$data/restoring.rdb"' EXIT
cp "$copy" "$data/restoring.rdb"

# With `appendonly yes` from the start Redis would look for an append-only file only, and begin empty.
"${REDIS_SERVER:-redis-server}" --port 0 --unixsocket "$work/s" --dir "$data" --dbfilename restoring.rdb \
    --save '' --appendonly no >"$work/log" 2>&1 &
server=$!
ask() { redis-cli -s "$work/s" "$@"; }
until [[ $(ask ping 2>/dev/null) == PONG ]]; do
    kill -0 "$server" 2>/dev/null || { cat "$work/log" >&2; exit 1; }
    sleep 0.2
done
ask config set appendonly yes >/dev/null
until ask info persistence | grep -q '^aof_rewrite_in_progress:0' &&
    ask info persistence | grep -q '^aof_rewrite_scheduled:0'; do sleep 0.2; done
ask info persistence | grep -q '^aof_last_bgrewrite_status:ok' || { cat "$work/log" >&2; exit 1; }
ask shutdown nosave >/dev/null 2>&1 || true
wait "$server" || true
echo "restored into $data" >&2

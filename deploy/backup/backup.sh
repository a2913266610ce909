#!/bin/bash
# Backs both stores up, while everything runs: deploy/backup/backup.sh FOLDER
#
# Needs REDIS_URL and DATABASE_URL (the owner's), redis-cli, and pg_dump of the server's version or later.
# Redis first, and only then PostgreSQL: what leaves Redis meanwhile is in PostgreSQL by then. The other way round it
# would be in neither. See deploy/docs/backup.md.
set -euo pipefail
umask 077
. "$(dirname "$0")/urls.sh"
folder=${1:?say into which folder}
mkdir -p "$folder"
[[ -z $(ls -A "$folder") ]] || { echo "backup: $folder is not empty: name a new folder" >&2; exit 2; }

redis_arguments "${REDIS_URL:?is not set}"
redis-cli "${REDIS_ARGUMENTS[@]}" --rdb "$folder/redis.rdb" >&2
# redis-cli ends well when the copy was cut short; a whole one begins so, and ends with EOF and a checksum.
[[ $(tail -c 9 "$folder/redis.rdb" | head -c 1 | od -An -tx1) == *ff* ]] ||
    { echo "backup: the copy of Redis was cut short: run it again" >&2; exit 1; }

postgres_arguments "${DATABASE_URL:?is not set}"
pg_dump --format=custom --no-owner --dbname="$POSTGRES_URL" --file="$folder/postgres.dump"
echo "backed up into $folder" >&2

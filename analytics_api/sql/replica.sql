-- Whether this server is a streaming replica, whether it hears its primary, and how old what it shows may be.
-- Parameters: none. One row; lag_seconds is null when it is a replica that has replayed nothing since it started.
-- The row of pg_stat_wal_receiver is there while the replica is connected; a role without more rights sees no more of it.
-- A connected replica that has replayed all it received is at 0, however long nothing was written. Any other is as old as
-- the last COMMIT it replayed: too much when nothing was written meanwhile, never too little.
SELECT
    pg_is_in_recovery() AS is_replica,
    receiver.is_connected AS is_streaming,
    CASE
        WHEN receiver.is_connected AND pg_last_wal_replay_lsn() >= pg_last_wal_receive_lsn() THEN 0
        ELSE greatest(extract(epoch FROM clock_timestamp() - pg_last_xact_replay_timestamp()), 0)
    END::float8 AS lag_seconds
FROM (SELECT EXISTS (SELECT FROM pg_stat_wal_receiver WHERE pid IS NOT NULL) AS is_connected) AS receiver

"""The load generator behind `weir load`.

`event_source` says which events, `load_request` makes requests of them ahead of time, `pacing` says when each is due,
`sender` sends them over `http_connection` and keeps a `tally`; `stored_watch` sees what became of them in PostgreSQL.
`run` puts it together.
"""

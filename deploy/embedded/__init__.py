"""Redis and PostgreSQL servers of our own, for one machine and for tests.

`redis_server.EmbeddedRedis` and `postgres_server.EmbeddedPostgres` start the programs found by `binaries` under
a supervisor's life: loopback and Unix sockets only, passwords of their own, stopped with their supervisor however
it ends. Everything of a server lies in one directory, except a socket folder when its path is too long, and a
cache of PostgreSQL's programs when root keeps them where no one else can read (`server_user` says why).
"""

"""Every error Weir raises on purpose, split by what the caller does about it.

    WeirError
    ├── Problem            answer the caller with this problem document (shared.problems, which knows the statuses)
    ├── RefusedRequest     what we asked for was refused, and would be again
    ├── Outage             wait and retry the same thing; never counts as an attempt
    ├── DataError          isolate the one event; retrying cannot help
    ├── HaltError          stop loudly; a person has to act
    │   ├── TooManyFailures    a bad release must not give up everything: all processors of the stream stop
    │   ├── SchemaError        the database is not the one this code was written for
    │   └── ProgrammingError   Weir itself is wrong
    ├── SettingsError      mend a setting and start again
    └── UsageError         mend the command line; the CLI exits with 2

`str(error)` is one line for an operator: what failed, the value seen, what to do. It never holds a secret.
"""

from __future__ import annotations

from shared.masking import mask_secrets


class WeirError(Exception):
    """The root: one line for a person in `str()`, facts for a program in the fields."""

    def __init__(self, message: str) -> None:
        super().__init__(mask_secrets(message))


class RefusedRequest(WeirError):  # noqa: N818  # named for what happened, not for its kind
    """Something we asked for was refused; `status` as in HTTP, `problem` is the last part of the problem's type."""

    def __init__(self, status: int, problem: str, detail: str) -> None:
        super().__init__(detail)
        self.status = status
        self.problem = problem


class Outage(WeirError):  # noqa: N818  # the word of the design
    """`service` (Redis, PostgreSQL) cannot answer now; the same call may succeed later."""

    def __init__(self, service: str, detail: str, *, sqlstate: str | None = None) -> None:
        super().__init__(f"{service}: {detail}")
        self.service = service
        self.sqlstate = sqlstate


class DataError(WeirError):
    """PostgreSQL or the decoder cannot take these bytes; `reason` is a stable word to count failures by."""

    def __init__(self, reason: str, detail: str, *, sqlstate: str | None = None) -> None:
        super().__init__(detail)
        self.reason = reason
        self.sqlstate = sqlstate


class HaltError(WeirError):
    """Going on would do harm or no good: stop, and say so."""


class TooManyFailures(HaltError):  # noqa: N818  # named for what happened
    """So many events of a stream failed that the processor itself must be suspected."""


class SchemaError(HaltError):
    """The database's schema or grants are not what this version needs; `weir db status` shows which."""

    def __init__(self, message: str, *, sqlstate: str | None = None) -> None:
        super().__init__(message)
        self.sqlstate = sqlstate


class ProgrammingError(HaltError):
    """A promise between parts of Weir was broken."""


class SettingsError(WeirError):
    """A setting is missing, unknown or out of bounds; `variable` is its environment name, if there is one."""

    def __init__(self, message: str, *, variable: str | None = None) -> None:
        super().__init__(message)
        self.variable = variable


class UsageError(WeirError):
    """The command line asks for what cannot be done."""

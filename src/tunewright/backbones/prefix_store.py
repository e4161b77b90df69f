"""Tensors by key: in memory up to a budget, then in files mapped into memory."""

import os
import shutil
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import torch
from torch import Tensor

MEMORY_BYTES = 2**31
DISK_BYTES = 2**34  # at most half of what is free
_FILE_BYTES = 2**28


class PrefixStore:
    """Keeps tensors of one dtype. On disk they lie in `folder`, in files that end with the process, however it ends."""

    def __init__(
        self, folder: Path | None = None, *, memory: int = MEMORY_BYTES, file_bytes: int = _FILE_BYTES
    ) -> None:
        self.folder, self.memory, self.file_bytes = folder, memory, file_bytes
        self.used = 0  # bytes in memory
        self.files = 0
        self._kept: dict[bytes, Tensor] = {}
        self._file: Tensor | None = None  # the last file, flat
        self._at = 0

    @property
    def kept(self) -> Mapping[bytes, Tensor]:
        """All that is kept."""
        return self._kept

    def put(self, key: bytes, value: Tensor) -> Tensor:
        """Keep a tensor; the one to be used from now on."""
        if self.used + value.nbytes <= self.memory:
            self.used += value.nbytes
        else:
            value = self._mapped(value)
        self._kept[key] = value
        return value

    def _mapped(self, value: Tensor) -> Tensor:
        if self._file is None or self._at + value.numel() > self._file.numel():
            self._file, self._at = self._new_file(max(value.numel(), self.file_bytes // value.element_size()), value), 0
        place = self._file[self._at : self._at + value.numel()].view(value.shape)
        self._at += value.numel()
        return place.copy_(value)

    def _new_file(self, numbers: int, like: Tensor) -> Tensor:
        handle, name = tempfile.mkstemp(prefix="prefixes-", dir=self.folder)
        try:
            file = torch.from_file(name, shared=True, size=numbers, dtype=like.dtype)
        finally:
            with suppress(OSError):  # where an open file cannot be removed it stays with the run
                Path(name).unlink()
            with suppress(OSError):
                os.close(handle)
        self.files += 1
        return file


def room(folder: Path) -> int:
    """Bytes that a store in `folder` may hold, memory and disk together."""
    folder = next(place for place in (folder, *folder.parents) if place.is_dir())
    return MEMORY_BYTES + min(DISK_BYTES, shutil.disk_usage(folder).free // 2)

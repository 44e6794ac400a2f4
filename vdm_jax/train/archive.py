"""A run in a few files of limited size, to be carried from machine to machine and gone on with there.

`python -m vdm_jax.train.archive pack WORKDIR FOLDER` takes the latest checkpoint (weights, averages, optimizer), the
log and the descriptions of the run; `… unpack FOLDER WORKDIR` puts them back, and the training goes on where it was.
"""

import hashlib
import io
import json
import shutil
import sys
import tarfile
import tempfile
from pathlib import Path

from vdm_jax.base.errors import UserError
from vdm_jax.base.files import write_file, write_json
from vdm_jax.train.checkpoint import saved_checkpoints

PART_BYTES = 15 * 2**20
MANIFEST = "archive.json"
DESCRIPTIONS = ("config.json", "data.json", "metrics.jsonl")


def pack(workdir: Path, folder: Path, part_bytes: int = PART_BYTES) -> list[Path]:
    """Writes the latest checkpoint of `workdir` and its descriptions into `folder`, in parts; returns the files.

    The manifest `archive.json` is written last: it names the parts with their lengths and SHA-256 digests, so that an
    archive without it, or with a part that is missing or damaged, is refused. Raises `UserError` where there is no
    checkpoint.
    """
    saved = saved_checkpoints(workdir / "checkpoints")
    if not saved:
        raise UserError(f"no checkpoint in {workdir / 'checkpoints'}: train first")
    step = saved[-1].step
    whole = io.BytesIO()
    with tarfile.open(fileobj=whole, mode="w") as tar:
        for name in (*DESCRIPTIONS, f"checkpoints/{step}"):
            if (workdir / name).exists():
                tar.add(workdir / name, name)
    content = whole.getvalue()
    parts = {}
    for start in range(0, len(content), part_bytes):
        piece = content[start : start + part_bytes]
        name = f"run-{step}.tar.{start // part_bytes:03d}"
        write_file(folder / name, lambda file, piece=piece: file.write(piece))
        parts[name] = {"bytes": len(piece), "sha256": hashlib.sha256(piece).hexdigest()}
    write_json(folder / MANIFEST, {"step": step, "parts": parts})
    for old in folder.glob("run-*.tar.*"):
        if old.name not in parts:
            old.unlink()
    return [folder / name for name in (*parts, MANIFEST)]


def unpack(folder: Path, workdir: Path) -> int:
    """Puts the archive's run into `workdir` and returns its step.

    A `workdir` that already has a checkpoint at that step or a later one is left as it is. Raises `UserError` for an
    archive that is incomplete or damaged.
    """
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        step, parts = int(manifest["step"]), dict(manifest["parts"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{folder} holds no readable archive ({type(error).__name__}: {error})") from error
    content = b"".join(_read_part(folder / name, about) for name, about in parts.items())
    saved = saved_checkpoints(workdir / "checkpoints")
    if saved and saved[-1].step >= step:
        return saved[-1].step
    workdir.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=workdir, prefix=".unpacking-") as draft:
        with tarfile.open(fileobj=io.BytesIO(content)) as tar:
            tar.extractall(draft, filter="data")
        (workdir / "checkpoints").mkdir(exist_ok=True)
        for name in DESCRIPTIONS:
            if (Path(draft) / name).exists():
                (Path(draft) / name).replace(workdir / name)
        shutil.move(Path(draft) / "checkpoints" / str(step), workdir / "checkpoints" / str(step))
    return step


def _read_part(path: Path, about: dict) -> bytes:
    try:
        piece = path.read_bytes()
    except OSError as error:
        raise UserError(f"a part of the archive cannot be read: {error}") from error
    if hashlib.sha256(piece).hexdigest() != about.get("sha256"):
        raise UserError(f"{path} is damaged: {len(piece)} bytes of another digest than {MANIFEST} has")
    return piece


def main(arguments: list[str]) -> int:
    """`pack WORKDIR FOLDER` or `unpack FOLDER WORKDIR`; exit code 2 and a sentence for a mistake."""
    commands = {"pack": pack, "unpack": unpack}
    if len(arguments) != 3 or arguments[0] not in commands:
        print("archive: expected `pack WORKDIR FOLDER` or `unpack FOLDER WORKDIR`", file=sys.stderr)
        return 2
    try:
        done = commands[arguments[0]](Path(arguments[1]), Path(arguments[2]))
    except UserError as error:
        print(f"archive: {error}", file=sys.stderr)
        return 2
    print(f"step {done}" if isinstance(done, int) else "\n".join(map(str, done)))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

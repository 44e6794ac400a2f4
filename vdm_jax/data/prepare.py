"""Downloads a TFDS data set and builds its array_record files: `python -m vdm_jax.data.prepare NAME [--dir=FOLDER]`.

NAME is TFDS's, such as cifar10, cifar10:3.0.2 or emnist/balanced. The build is written to FOLDER/NAME/VERSION; the
default FOLDER is the environment variable TFDS_DATA_DIR, else ~/tensorflow_datasets. Building needs TensorFlow (extra
`prepare`) and a network. Reading needs neither, on any machine that the build is copied to.
Exit codes: 0: the build exists; 1: the download or the build failed; 2: invalid request. Errors are one sentence.
"""

import argparse
import logging
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from vdm_jax.base.ending import exit_code
from vdm_jax.base.errors import RunFailed, UserError, suggestion
from vdm_jax.data.tfds import check_format, data_folder, image_shape, import_tfds, in_one_line, parse_name

EXTRA = "python -m pip install 'vdm-jax[prepare]'"


class PrepareFailed(RunFailed):
    """The download or the build failed."""


def main(argv: Sequence[str]) -> int:
    """The command; returns its exit code."""
    try:
        arguments = parse(argv)
        if not find_spec("tensorflow"):
            raise UserError(f"building a TFDS data set needs TensorFlow: {EXTRA}")
        path, name = prepare(arguments.name, arguments.dir)
    except UserError as error:
        print(f"prepare: {error}", file=sys.stderr)
        return 2
    except PrepareFailed as error:
        print(f"prepare: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("prepare: interrupted; the same command starts again, with what was downloaded", file=sys.stderr)
        return 130
    where = f" --config.data.dir={arguments.dir}" if arguments.dir else ""
    print(f"{path} is there; it is read by --config.data.source=tfds --config.data.name={name}{where}")
    return 0


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """`name` and `dir`. Raises `UserError` instead of argparse's own exit."""
    parser = argparse.ArgumentParser(
        "python -m vdm_jax.data.prepare", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("name", metavar="NAME", help="TFDS's name of the data set")
    parser.add_argument("--dir", metavar="FOLDER", help="folder of the builds")
    parser.error = _refuse
    return parser.parse_args(argv)


def _refuse(message: str) -> None:
    raise UserError(f"{message}; expected NAME [--dir=FOLDER]")


def prepare(name: str, data_dir: str | None) -> tuple[Path, str]:
    """Builds the data set unless it exists. Returns the build's folder, and its name for `load_data`.

    Raises `UserError` for an unknown name or unsuitable images, before anything is downloaded, and `PrepareFailed`.
    """
    parse_name(name)
    tfds = import_tfds()
    try:
        builder = tfds.builder(name, data_dir=data_folder(data_dir))
    except tfds.core.DatasetNotFoundError as error:
        near = suggestion(name, tfds.list_builders(with_community_datasets=False))
        raise UserError(f"TFDS has no data set called {name!r}{near}") from error
    except Exception as error:  # a missing version or config raises errors of different classes
        raise UserError(f"TFDS cannot build {name!r}: {in_one_line(error)}") from error
    image_shape(f"the TFDS data set {name!r}", builder.info.features)
    path = Path(builder.data_dir)
    if builder.is_prepared():
        check_format(path, name, builder)
    else:
        build(name, builder)
    config = builder.builder_config
    return path, f"{builder.name}/{config.name}" if config else builder.name


def build(name: str, builder: Any) -> None:
    """Downloads, and writes array_record files; an incomplete folder never has a version's name."""
    print(f"building {builder.data_dir}; a network that does not answer is given up after minutes", flush=True)
    logging.getLogger("urllib3").setLevel(logging.ERROR)  # it would tell of every attempt
    try:
        builder.download_and_prepare(file_format="array_record")
    except Exception as error:  # requests, tfds, TensorFlow and the file system all have errors of their own
        raise PrepareFailed(f"{name!r} could not be downloaded and built: {in_one_line(error)}") from error


if __name__ == "__main__":
    sys.exit(exit_code("prepare", lambda: main(sys.argv[1:])))

"""Names of runs on other data than those of their config file. Titles and default workdirs come from them."""

import os
import re
from collections.abc import Mapping
from typing import Any

from ml_collections import ConfigDict

UNSAFE = re.compile(r"[^A-Za-z0-9._+=,-]")  # in the name of a folder, or for a shell
FOLDER = "folder"  # the source whose data are called as their folder is


def name_after_data(config: ConfigDict, own: ConfigDict, typed: Mapping[str, Any]) -> None:
    """Names a run after its data where the command line chose others than the config file has.

    "mnist-mvdm-te" on the data `fashion` is "fashion-mvdm-te". A folder of images is called as the folder is, unless a
    name was typed. own: the config of the file. typed: the settings of the command line; a typed name stays.
    """
    data = config.get("data")
    if not isinstance(data, ConfigDict) or "name" not in data:
        return
    if data.get("source") == FOLDER and data.get("dir") and "data.name" not in typed and "data.dir" in typed:
        data.name = os.path.basename(os.path.abspath(os.path.expanduser(data.dir)))  # also of ..
    if "name" not in typed:
        config.name = named(config.name, own, config)


def named(name: str, own: ConfigDict, config: ConfigDict) -> str:
    """A name with the data of `config` in place of those of `own`, or before it where it does not have these."""
    before, now = own.get("data"), config.get("data")
    if not now or not now.get("name") or before.get("name") == now.name:
        return name
    label, parts = UNSAFE.sub("-", now.name), name.split("-")
    if before.get("name") in parts:
        parts[parts.index(before.name)] = label
        return "-".join(parts)
    return f"{label}-{name}"

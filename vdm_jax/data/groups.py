"""Classes put together into groups, such as CIFAR-10's into animals and vehicles: the label becomes the group."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from jaxtyping import Int

from vdm_jax.base.errors import UserError, suggestion
from vdm_jax.data.dataset import SPLITS, ImageData, Split

FORM = "NAME=CLASS,CLASS,…+NAME=CLASS,…"
EXAMPLE = "animal=2,3,4,5,6,7+vehicle=0,1,8,9"
MOST_NAMED = 10  # classes in a message


def grouped(data: ImageData, groups: str) -> ImageData:
    """The same images with groups as labels; images of classes that are in no group are left out.

    groups: such as "animal=bird,cat,deer,dog,frog,horse+vehicle=0,1,8,9"; a class is its name or its number. Where no
    image is left out, the fingerprint stays that of the ungrouped data: the images and their splits are the same, so
    that what was trained on them without their labels, such as a space, serves the groups as well. Raises `UserError`.
    """
    given = f"data.groups={groups!r}"
    if not data.label_names:
        raise UserError(f"{given}: {data.name!r} has no labels to be put together; leave it unset")
    names, group_of = parse_groups(groups, data.label_names)
    splits = {name: getattr(data, name) for name in SPLITS}
    parts = {name: _part(split, group_of) for name, split in splits.items()}
    for name, part in parts.items():
        for group, title in enumerate(names):
            if group not in part.labels:
                raise UserError(f"{given}: no {name} image is of the group {title!r}; expected {FORM}")
    left_out = sum(len(splits[name]) - len(parts[name]) for name in SPLITS)
    notes = list(data.notes)
    if left_out:
        classes = [own for own, group in zip(data.label_names, group_of, strict=True) if group < 0]
        notes.append(f"leaves out {left_out:,} images of {_listed(classes)}")
    return replace(
        data,
        name=f"{data.name}/{'+'.join(names)}",
        **parts,
        label_names=names,
        notes=tuple(notes),
        known_fingerprint="" if left_out else data.fingerprint,
    )


def parse_groups(groups: str, label_names: tuple[str, ...]) -> tuple[tuple[str, ...], Int[np.ndarray, " c"]]:
    """The names of the groups, and the group of each class; -1: none. Raises `UserError`."""
    given = f"data.groups={groups!r}"
    group_of = np.full(len(label_names), -1)
    names: list[str] = []
    for group, text in enumerate(groups.split("+")):
        name, equals, classes = (part.strip() for part in text.partition("="))
        if not (name and equals and classes) or name in names:
            raise UserError(f"{given}: {text!r}; expected {FORM} with different names, such as {EXAMPLE}")
        names.append(name)
        for each in map(str.strip, classes.split(",")):
            label = _class(each, label_names, given)
            if group_of[label] >= 0:
                raise UserError(f"{given}: class {each!r} is named twice; expected each in one group at most")
            group_of[label] = group
    if len(names) < 2:
        raise UserError(f"{given} has one group; expected two or more, such as {EXAMPLE}")
    return tuple(names), group_of


def _class(text: str, label_names: tuple[str, ...], given: str) -> int:
    """The number of a class by its name, or by the number itself."""
    if text in label_names:
        return label_names.index(text)
    if text.isdecimal() and int(text) < len(label_names):
        return int(text)
    known = _listed(label_names) + f", or 0 … {len(label_names) - 1}"
    raise UserError(f"{given}: no class is called {text!r}; expected {known}{suggestion(text, label_names)}")


def _part(split: Split, group_of: np.ndarray) -> Split:
    """The images of a split that are in a group, in their order."""
    labels = group_of[split.labels]
    kept = labels >= 0
    stored = split.stored if kept.all() else split.stored[kept]
    return replace(split, stored=stored, labels=labels[kept].astype(np.int32))


def _listed(names: Sequence[str]) -> str:
    told = ", ".join(map(repr, names[:MOST_NAMED]))
    return told + (f" and {len(names) - MOST_NAMED:,} more" if len(names) > MOST_NAMED else "")

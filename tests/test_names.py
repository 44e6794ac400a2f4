"""One public name, one meaning: a class name is defined once in the package, and names that were given up stay away."""

import ast
import collections
import pathlib

ROOT = pathlib.Path(__file__).resolve().parent.parent
GIVEN_UP = {"Subject", "Walk", "Here", "Instrument", "Feed", "Evidence"}


def public_classes() -> dict[str, list[str]]:
    """{class name: the files that define it}, private names left out."""
    found = collections.defaultdict(list)
    for path in sorted((ROOT / "vdm_jax").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                found[node.name].append(str(path.relative_to(ROOT)))
    return found


def test_a_public_class_name_occurs_once():
    assert not {name: files for name, files in public_classes().items() if len(files) > 1}


def test_names_that_were_replaced_do_not_return():
    assert not GIVEN_UP & public_classes().keys()

"""A file imports only from lower floors or its own folder; heavy optional packages are imported where they are used."""

import ast
import pathlib
import subprocess
import sys
import tomllib

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent
FLOORS = {
    "base": 0, "diffusion": 1, "networks": 2, "data": 2, "models": 3,
    "train": 3, "evals": 3, "probing": 3, "report": 3, "launch": 4, "experiments": 5, "benchmarks": 6,
}  # fmt: skip
LATE = {
    "diffrax",
    "sklearn",
    "skimage",
    "scipy",
    "tqdm",
    "ml_collections",
    "absl",
    "tensorflow_datasets",
    "tensorflow",
    "array_record",
    "grain",
    "torch",
    "diffusers",
    "safetensors",
    "tensorboardX",
    "wandb",
}
NOT_ON_A_BARE_HOST = LATE - {"scipy", "absl"}  # jax brings the one, optax the other
FILES = sorted((ROOT / "vdm_jax").glob("*/**/*.py"))

KINDS = sorted(path.parent.name for path in (ROOT / "vdm_jax" / "experiments").glob("*/kind.py"))
EXPERIMENTS = [path for path in FILES if "experiments" in path.relative_to(ROOT).parts]
FEWEST_FIELDS = 3


def imported(tree: ast.AST):
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are written from the package's root"
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_point_downwards(path):
    folder = path.relative_to(ROOT / "vdm_jax").parts[0]
    for name in imported(ast.parse(path.read_text())):
        parts = name.split(".")
        if parts[0] != "vdm_jax" or len(parts) == 1:
            continue
        other = parts[1]
        assert other == folder or FLOORS[other] < FLOORS[folder], f"{folder} imports {name}"


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_packages_stay_in_their_place(path):
    folder = path.relative_to(ROOT / "vdm_jax").parts[0]
    tree = ast.parse(path.read_text())
    top = ast.Module([node for node in tree.body if isinstance(node, (ast.Import, ast.ImportFrom))], [])
    if folder not in ("launch", "experiments", "benchmarks"):
        assert not {name.split(".")[0] for name in imported(top)} & LATE
    everything = {name.split(".")[0] for name in imported(tree)}
    assert "matplotlib.pyplot" not in set(imported(tree)), "pyplot starts the backend that the user has chosen"
    if folder != "networks":
        assert "flax" not in everything, "nothing outside networks/ imports flax"
    if FLOORS[folder] < 4:
        assert "ml_collections" not in everything, "ConfigDict stops at floor 4"
    if path.name != "checkpoint.py":
        assert "orbax" not in everything, "one file knows orbax"


@pytest.mark.parametrize("path", EXPERIMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_kind_imports_another(path):
    """What kinds share lies in common/, which imports no kind; kinds.py lists them all."""
    own = path.parent.name
    if own == "experiments":
        return
    for name in imported(ast.parse(path.read_text())):
        parts = name.split(".")
        if parts[:2] == ["vdm_jax", "experiments"] and len(parts) > 2 and parts[2] in KINDS:
            assert parts[2] == own, f"{own} imports {name}"


def declared_functions(path: pathlib.Path):
    """(file, name) of what a file that declares jobs names: of its own, and of what it imports."""
    tree = ast.parse(path.read_text())
    names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    yield from ((path, name) for name in names)
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            file = ROOT.joinpath(*node.module.split(".")).with_suffix(".py")
            yield from ((file, alias.name) for alias in node.names if (alias.asname or alias.name) in names)


def built_classes():
    """The class that `Kind.build` of each kind returns."""
    for path in (ROOT / "vdm_jax" / "experiments").glob("*/kind.py"):
        tree = ast.parse(path.read_text())
        (kind,) = [n.value for n in tree.body if isinstance(n, ast.Assign) and n.targets[0].id == "KIND"]
        files = {
            file: ast.parse(file.read_text()) for file, name in declared_functions(path) if name == kind.args[0].id
        }
        functions = [n for found in files.values() for n in found.body if isinstance(n, ast.FunctionDef)]
        (build,) = [function for function in functions if function.name == kind.args[0].id]
        yield build.returns.id


def functions_for_few_fields():
    """(FILE.FUNCTION, fields) of each that takes a built experiment and uses fewer than three of its fields. Jobs, and
    what else a kind declares, are excepted."""
    folder = ROOT / "vdm_jax" / "experiments"
    declaring = [*folder.glob("*/kind.py"), folder / "common" / "jobs.py"]
    declared, built = {each for path in declaring for each in declared_functions(path)}, set(built_classes())
    assert len(built) > 1
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.FunctionDef) or (path, node.name) in declared:
                continue
            for argument in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs):
                names = {n.id for n in ast.walk(argument.annotation or ast.Pass()) if isinstance(n, ast.Name)}
                if not names & built:
                    continue
                fields = {
                    n.attr
                    for n in ast.walk(node)
                    if isinstance(n, ast.Attribute) and isinstance(n.value, ast.Name) and n.value.id == argument.arg
                }
                if len(fields) < FEWEST_FIELDS:
                    yield f"{path.stem}.{node.name}", sorted(fields)


def test_functions_take_what_they_use():
    assert not dict(functions_for_few_fields())


def test_every_package_is_installed():
    listed = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    folders = {path.parent.relative_to(ROOT) for path in (ROOT / "vdm_jax").glob("**/__init__.py")}
    assert sorted(listed) == sorted([".".join(folder.parts) for folder in folders] + ["vdm_jax.configs"])


def test_folders_do_not_tire_a_reader():
    folders = [path for path in (ROOT / "vdm_jax").glob("**/") if path.name != "__pycache__"]
    full = {
        str(folder.relative_to(ROOT)): count for folder in folders if (count := len(list(folder.glob("*.py")))) > 20
    }
    assert not full


@pytest.mark.slow
def test_everything_below_launch_imports_on_a_bare_accelerator_host():
    modules = [
        ".".join(path.relative_to(ROOT).with_suffix("").parts)
        for path in FILES
        if not {"launch", "experiments", "benchmarks"} & set(path.parts)
    ]
    program = f"""
import importlib, sys

class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {NOT_ON_A_BARE_HOST!r}:
            raise ImportError(name + " is not installed here")

sys.meta_path.insert(0, Missing())
for module in {modules!r}:
    importlib.import_module(module)
print(len({modules!r}))
"""
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) == len(modules)


def test_files_do_not_tire_a_reader():
    long = {
        str(path.relative_to(ROOT)): count
        for path in FILES + [ROOT / "launch.py"]
        if (count := path.read_text().count("\n")) > 300
    }
    assert not long
    assert (ROOT / "launch.py").read_text().count("\n") <= 80


def test_functions_do_not_tire_a_reader():
    """No function is longer than 60 lines, its docstring included."""
    functions = [
        (path, node)
        for path in FILES
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
    ]
    long = {
        f"{path.relative_to(ROOT)}: {node.name}": count
        for path, node in functions
        if (count := node.end_lineno - node.lineno + 1) > 60
    }
    assert not long

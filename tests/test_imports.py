"""The import graph of the packages, read from their sources: rooms, their order, and what stays outside."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from ddoq_core.store.source import file_of

PACKAGE = file_of("ddoq_core").parent
# Each room imports from those before its own line, and from its own line itself.
ROOMS = (
    ("errors",),
    ("threads", "randomness", "finite"),
    ("quantization",),
    ("theory",),
    ("config", "processes"),
    ("store",),
    ("data", "networks"),
    ("priors",),
    ("pipeline",),
    ("checks", "methods"),
    ("runs",),
    ("results",),
    ("cost", "foreign", "options"),
    ("grid",),
    ("tools",),
    ("cli",),
    ("__main__",),
)
LEVEL = {room: level for level, rooms in enumerate(ROOMS) for room in rooms}
ALONE = {"quantization": {"errors"}, "theory": {"quantization", "errors", "randomness"}}  # and nothing else of it
HEAVY = {"accelerate", "diffusers", "huggingface_hub", "mlxtend", "torchvision", "transformers"}
FIGURES = {"matplotlib", "IPython"}


def name_of(path: Path) -> str:
    parts = ["ddoq_core", *path.relative_to(PACKAGE).with_suffix("").parts]
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


FILES = {name_of(path): path for path in sorted(PACKAGE.rglob("*.py"))}


def statements(tree: ast.Module) -> list[ast.Import | ast.ImportFrom]:
    """All imports of a module, also inside functions, but those for type checkers."""
    found, waiting = [], [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            waiting += node.orelse
            continue
        if isinstance(node, ast.Import | ast.ImportFrom):
            found.append(node)
        waiting += ast.iter_child_nodes(node)
    return found


def imports(name: str, trees: list[ast.Import | ast.ImportFrom]) -> set[str]:
    """Full names that import statements of a module mean: modules of the package, or packages of others."""
    found = set()
    here = name.split(".") if FILES[name].name == "__init__.py" else name.split(".")[:-1]
    for node in trees:
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
            continue
        base = ".".join([*(here[: len(here) - node.level + 1] if node.level else []), *filter(None, [node.module])])
        inner = {f"{base}.{alias.name}" for alias in node.names}
        found |= {name for name in inner if name in FILES} | ({base} if inner - set(FILES) else set())
    return found


TREES = {name: ast.parse(path.read_text()) for name, path in FILES.items()}
ALL = {name: imports(name, statements(tree)) for name, tree in TREES.items()}
OURS = {name: found & set(FILES) - {name} for name, found in ALL.items()}


def room(name: str) -> str:
    return name.split(".")[1] if "." in name else ""


def test_every_module_is_in_a_room_that_has_a_place_in_the_order():
    assert {room(name) for name in FILES} - {""} == set(LEVEL)


@pytest.mark.parametrize("name", [name for name in FILES if room(name)])
def test_no_module_imports_from_a_room_above_or_beside_its_own(name):
    rooms = {room(other) for other in OURS[name]} - {room(name)}
    assert {other for other in rooms if LEVEL[other] >= LEVEL[room(name)]} == set()
    assert rooms <= ALONE.get(room(name), rooms)


def test_no_modules_import_each_other_in_a_circle():
    """Taking away what imports nothing that is left takes away all."""
    left = {name: {n for n in found if n != "ddoq_core"} for name, found in OURS.items()}
    while leaves := {name for name, found in left.items() if not found & set(left)}:
        left = {name: found for name, found in left.items() if name not in leaves}
    assert left == {}


def test_no_module_takes_a_name_from_the_front_door_where_nobody_sees_which_module_it_means():
    assert {name for name, found in ALL.items() if "ddoq_core" in found} == set()


def test_the_package_draws_no_figures_and_knows_neither_the_book_nor_a_path_above_itself():
    outside = {name: {found.partition(".")[0] for found in ALL[name]} for name in FILES}
    assert {name for name, found in outside.items() if found & (FIGURES | {"ddoq_book"})} == set()
    assert {name for name, found in outside.items() if "ddoq_benchmarks" in found} <= {"ddoq_core.tools"}
    for name, path in FILES.items():
        depth = len(path.relative_to(PACKAGE).parts) - 1
        assert {n for n in _levels_up(TREES[name]) if n > depth} == set(), name


def _levels_up(tree: ast.Module) -> list[int]:
    """How many folders above its own each `parents[n]` and `.parent.parent` of a module goes."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Subscript) and ast.unparse(node.value).endswith(".parents"):
            found.append(ast.literal_eval(node.slice))
        elif isinstance(node, ast.Attribute) and (text := ast.unparse(node)).startswith("Path(__file__)"):
            found.append(text.count(".parent") - 1)
    return found


def test_the_light_core_is_what_imports_no_package_of_the_pipeline_before_it_is_asked_to():
    """Modules that name one at their top are few, and no other module imports them at its top."""
    top = {
        name: imports(name, [n for n in TREES[name].body if isinstance(n, ast.Import | ast.ImportFrom)])
        for name in FILES
    }
    heavy = {name for name, found in top.items() if {other.partition(".")[0] for other in found} & HEAVY}
    while more := {name for name, found in top.items() if found & heavy} - heavy:
        heavy |= more
    assert {name for name in heavy if room(name) not in ("priors", "cost")} == set()
    assert "ddoq_core.priors.load" not in heavy and not heavy & {"ddoq_core.cost.model", "ddoq_core.cost.tables"}


@pytest.mark.parametrize(
    "code", ["from ddoq_core.quantization import OptimalQuantizer, lloyd", "import ddoq_core.cost.tables"]
)
def test_importing_the_light_core_loads_no_package_of_the_pipeline(code):
    seen = f"{code}\nimport sys\nprint(*sorted({HEAVY | FIGURES!r} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", seen], capture_output=True, text=True)
    assert (done.returncode, done.stdout.strip()) == (0, ""), done.stderr


def test_the_core_stays_small():
    lines = {name: len(path.read_text().splitlines()) for name, path in FILES.items()}
    assert {name: n for name, n in lines.items() if n > 300} == {}
    assert sum(n for name, n in lines.items() if room(name) != "methods") <= 14_800

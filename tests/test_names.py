"""One name, one thing: a newcomer who looks a name up finds it once."""

import ast
from collections import defaultdict
from pathlib import Path

from ddoq_core.store.source import PACKAGES, file_of

# what every file of a kind defines by contract: a method, a data set, a prior
BY_CONTRACT = {"methods": {"Knobs", "cost", "protocol", "distill"}, "sets": {"load"}, "priors": {"from_folder"}}
COMMANDS = {"cli.py", "tools.py"}  # the commands are called as the steps that they run


def public(path: Path) -> set[str]:
    """Functions and classes of a module that are not private."""
    kinds = (ast.FunctionDef, ast.ClassDef)
    found = {node.name for node in ast.parse(path.read_text()).body if isinstance(node, kinds)}
    return {name for name in found if not name.startswith("_")} - BY_CONTRACT.get(path.parent.name, set())


def test_no_two_public_functions_or_classes_have_one_name():
    homes = defaultdict(list)
    for package in PACKAGES:
        folder = file_of(package).parent
        for path in sorted(folder.rglob("*.py")):
            if path.name not in COMMANDS:
                for name in public(path):
                    homes[name].append(str(path.relative_to(folder.parent)))
    assert len(homes) > 600
    assert {name: places for name, places in homes.items() if len(places) > 1} == {}

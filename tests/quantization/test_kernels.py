"""Compiled loops where nothing can be kept: they compute the same, and say so in one line."""

import subprocess
import sys

CODE = """
import sys
from numba.core import caching
if sys.argv[1] == "read-only":
    for locator in caching.CacheImpl._locator_classes:
        locator.from_function = classmethod(lambda cls, function, file: None)
import torch
from ddoq_core.quantization import lloyd
X = torch.linspace(0, 1, 200).reshape(-1, 2)
print(lloyd(X, X[:5]).points.tolist())
"""


def test_loops_are_compiled_without_a_folder_for_them_and_one_line_says_so():
    kept, without = (
        subprocess.run([sys.executable, "-c", CODE, how], capture_output=True, text=True)
        for how in ("writable", "read-only")
    )
    assert without.returncode == 0 and without.stdout == kept.stdout != ""
    assert kept.stderr == ""
    assert len(without.stderr.splitlines()) == 1 and "NUMBA_CACHE_DIR" in without.stderr

"""The driver that runs the notebooks: what it refuses, what it passes on, what it leaves behind, when it runs again."""

import json
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import jupytext
import nbformat
import pytest

from ddoq_core.config.profile import Profile
from ddoq_core.errors import InputError
from ddoq_core.store import source

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "book" / "tools"))
import execute  # noqa: E402 - tools beside the book, not a part of the package
import freshness  # noqa: E402

NOTEBOOK = """---
kernelspec:
  display_name: Python 3
  language: python
  name: python3
---

# A page

```{code-cell} ipython3
:tags: [parameters]
profile: str = "laptop"  # name of this set of values
n_samples: int = 10      # a size of this page alone
scale: float = 1.0       # another
```

```{code-cell} ipython3
import os, sys
print(n_samples, profile, globals().get("epochs"), os.getcwd())
print("a warning", file=sys.stderr)
```
"""


SECRET = {"data_root": "/home/somebody/data"}


@pytest.fixture
def notebooks(tmp_path, monkeypatch) -> Path:
    """A folder that holds the page above and its twin, and is the only one that declares names."""
    folder = tmp_path / "notebooks"
    folder.mkdir()
    (folder / "11_page.md").write_text(NOTEBOOK)
    jupytext.write(jupytext.reads(NOTEBOOK, "md:myst"), folder / "11_page.ipynb")
    return folder


@pytest.fixture
def profile(tmp_path):
    def write(text: str) -> str:
        path = tmp_path / "mine.yaml"
        path.write_text(text)
        return str(path)

    return write


@pytest.fixture(scope="module")
def executed(tmp_path_factory) -> nbformat.NotebookNode:
    """The page above, run at n_samples = 3, epochs = 7."""
    folder = tmp_path_factory.mktemp("run")
    page = jupytext.reads(NOTEBOOK, "md:myst")
    return execute.execute(page, "11_page", {"profile": "mine", "n_samples": 3, "epochs": 7} | SECRET, folder)


def declarations(notebooks: Path) -> list[dict]:
    return [execute.declared(jupytext.read(p)) for p in notebooks.glob("*.md")]


def test_a_name_that_nobody_declares_is_refused_with_the_nearest_one(notebooks, profile):
    with pytest.raises(
        InputError,
        match=r"unknown parameter 'n_sample' in the section 'notebooks' of .*mine\.yaml; did you mean 'n_samples'",
    ):
        execute.profile_values(profile("notebooks: {n_sample: 3}"), "artifacts", declarations(notebooks))
    with pytest.raises(InputError, match=r"'guidence_scale'.*'guidance_scale'"):
        execute.profile_values(profile("guidence_scale: 3.0"), "artifacts", declarations(notebooks))


def test_a_value_of_the_wrong_type_is_refused(notebooks, profile):
    with pytest.raises(InputError, match="n_samples = 'many'"):
        execute.profile_values(profile("notebooks: {n_samples: many}"), "artifacts", declarations(notebooks))
    with pytest.raises(InputError, match="epochs"):
        execute.profile_values(profile("epochs: many"), "artifacts", declarations(notebooks))


def test_a_value_that_stands_twice_in_a_list_is_refused(notebooks, profile):
    declared = [{"widths": [0, 4]}]
    with pytest.raises(InputError, match=r"widths = \[4, 0, 4\] in profile mine.yaml holds a value twice"):
        execute.profile_values(profile("notebooks: {widths: [4, 0, 4]}"), "artifacts", declared)


def test_a_whole_number_stands_for_a_real_one(notebooks, profile):
    assert execute.profile_values(profile("notebooks: {scale: 2}"), "artifacts", declarations(notebooks))["scale"] == 2


def test_a_bad_parameter_is_one_line_and_exit_code_2(profile, tmp_path):
    command = [sys.executable, ROOT / "book/tools/execute.py", "--profile", profile("guidence_scale: 3.0")]
    places = ["--out", tmp_path / "out", "--artifacts", tmp_path / "artifacts"]
    done = subprocess.run([*command, *places], capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.startswith("ddoq: unknown parameter") and len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "out").exists()


def test_a_notebook_gets_what_it_declares_and_every_knob_if_it_declares_profile():
    values = {"profile": "mine", "epochs": 7, "n_samples": 3, "artifacts": "there"}
    assert execute.given({"n_samples": 10}, values) == {"n_samples": 3}
    assert execute.given({"profile": "laptop"}, values) == {"profile": "mine", "epochs": 7, "artifacts": "there"}


def test_the_values_of_the_profile_reach_the_cells(executed):
    assert executed.cells[3].outputs[0].text.startswith("3 mine 7")


def test_a_notebook_runs_in_the_root_of_the_repository(executed):
    assert executed.cells[3].outputs[0].text.split()[-1] == str(ROOT)


def test_an_executed_notebook_names_no_machine_and_no_time(executed):
    text = json.dumps([executed.metadata, *(c.metadata for c in executed.cells)])
    assert "papermill" not in text and "start_time" not in text and str(Path.home()) not in text


def test_an_executed_notebook_names_no_folder_of_the_run(executed):
    assert "/home/somebody" not in json.dumps(executed)


def test_the_cell_of_injected_values_is_hidden(executed):
    injected = next(c for c in executed.cells if "injected-parameters" in c.metadata.get("tags", []))
    assert "remove-cell" in injected.metadata["tags"]


def test_standard_error_does_not_reach_the_page(executed):
    assert "a warning" not in json.dumps([c.outputs for c in executed.cells if c.cell_type == "code"])


def test_a_failing_notebook_says_its_last_line_and_where_its_executed_part_is(notebooks, profile, tmp_path, capfd):
    (notebooks / "11_page.md").write_text(NOTEBOOK + '\n```{code-cell} ipython3\nraise ValueError("no\\nluck")\n```\n')
    (notebooks / "11_page.ipynb").unlink()
    with pytest.raises(SystemExit) as stop:
        execute.execute_all(notebooks, profile("seed: 1"), tmp_path / "out", "artifacts")
    partial, said = tmp_path / "out" / "failed" / "11_page.ipynb", capfd.readouterr().err
    assert stop.value.code == 1
    assert said.startswith("11_page: ValueError: luck") and str(partial) in said and len(said.splitlines()) == 2
    assert "10 mine" in partial.read_text()
    assert not (tmp_path / "out" / "11_page.ipynb").exists()


def with_cell(code: str) -> str:
    return f"{NOTEBOOK}\n```{{code-cell}} ipython3\n{code}\n```\n"


def test_a_notebook_whose_kernel_is_killed_is_named_with_a_hint_and_no_traceback(notebooks, profile, tmp_path, capfd):
    (notebooks / "11_page.md").write_text(with_cell("import os, signal\nos.kill(os.getpid(), signal.SIGKILL)"))
    (notebooks / "11_page.ipynb").unlink()
    with pytest.raises(SystemExit) as stop:
        execute.execute_all(notebooks, profile("seed: 1"), tmp_path / "out", "artifacts")
    partial, said = tmp_path / "out" / "failed" / "11_page.ipynb", capfd.readouterr().err.splitlines()
    assert stop.value.code == 1 and len(said) == 2
    assert said[0].startswith("11_page: ") and "memory" in said[0] and str(partial) in said[1]
    assert "10 mine" in partial.read_text()


def test_a_kernel_that_never_answers_is_one_line(notebooks, tmp_path, monkeypatch):
    def silent(*arguments, **how):
        raise RuntimeError("Kernel didn't respond in 60 seconds")

    monkeypatch.setattr(execute.papermill, "execute_notebook", silent)
    with pytest.raises(SystemExit, match=r"^11_page: Kernel didn't respond in 60 seconds, often for lack of memory"):
        execute.execute(jupytext.reads(NOTEBOOK, "md:myst"), "11_page", {}, tmp_path)


def end_at_the_second(lane, out, parent):
    execute.nbformat.write(execute.nbformat.v4.new_notebook(metadata={"ddoq": lane[0].stamp}), out / "21_first.ipynb")
    os.kill(os.getpid(), signal.SIGKILL)


def test_of_a_process_that_is_killed_the_notebook_that_it_ran_is_named(tmp_path, monkeypatch):
    lane = [execute.Stale(name, None, {}, {"key": name}) for name in ("21_first", "31_second", "34_third")]
    context = multiprocessing.get_context("fork")  # so that the process knows `end_at_the_second`
    monkeypatch.setattr(execute.multiprocessing, "get_context", lambda how: context)
    monkeypatch.setattr(execute, "run_lane", end_at_the_second)
    with pytest.raises(SystemExit, match=r"^ddoq: 31_second: its process was ended by signal 9, .* memory"):
        execute.side_by_side([lane], tmp_path)


def test_notebooks_that_use_the_artifacts_run_in_turn_and_the_others_beside_them(notebooks, profile, tmp_path):
    """Two at work until each has seen the other's mark; the third sees that the second is done."""
    meet = "\n```{code-cell} ipython3\nimport pathlib, time\nplace = pathlib.Path(%r)\n(place / %r).touch()\n%s\n```\n"
    until = "began = time.monotonic()\nwhile not (place / %r).exists(): assert time.monotonic() < began + 120"
    shared = NOTEBOOK.replace("n_samples: int", 'artifacts: str = "artifacts"  # a folder\nn_samples: int')
    (notebooks / "11_page.md").write_text(NOTEBOOK + meet % (str(tmp_path), "alone", until % "first"))
    first = (until % "alone") + '\ntime.sleep(1)\n(place / "first-ended").touch()'
    (notebooks / "21_page.md").write_text(shared + meet % (str(tmp_path), "first", first))
    second = 'assert (place / "first-ended").exists()'
    (notebooks / "31_page.md").write_text(shared + meet % (str(tmp_path), "second", second))
    execute.execute_all(notebooks, profile("seed: 1"), tmp_path / "out", "artifacts")
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == [f"{n}_page.ipynb" for n in (11, 21, 31)]


def test_a_notebook_that_fails_ends_those_beside_it(notebooks, profile, tmp_path, capfd):
    fails = NOTEBOOK.replace("n_samples: int", 'artifacts: str = "artifacts"  # a folder\nn_samples: int')
    (notebooks / "21_page.md").write_text(fails + '\n```{code-cell} ipython3\nraise ValueError("no luck")\n```\n')
    (notebooks / "11_page.md").write_text(NOTEBOOK + "\n```{code-cell} ipython3\nimport time; time.sleep(3600)\n```\n")
    with pytest.raises(SystemExit):
        execute.execute_all(notebooks, profile("seed: 1"), tmp_path / "out", "artifacts")
    assert "21_page: ValueError: no luck" in capfd.readouterr().err
    assert not (tmp_path / "out" / "11_page.ipynb").exists()


DRIVER = """import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
sys.path.insert(0, sys.argv.pop())
import execute
execute.execute_all(execute.Path(sys.argv[1]), sys.argv[2], execute.Path(sys.argv[3]), "artifacts")
"""


def waited_for(holds, seconds=60) -> bool:
    end = time.monotonic() + seconds
    while not holds() and time.monotonic() < end:
        time.sleep(0.1)
    return holds()


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_a_driver_that_is_interrupted_or_killed_leaves_no_notebook_running(notebooks, profile, tmp_path, how):
    mark = f"open({str(tmp_path / 'pid')!r}, 'w').write(str(os.getpid()))"
    cell = f"import time\n{mark}\ntime.sleep(3600)"
    (notebooks / "11_page.md").write_text(f"{NOTEBOOK}\n```{{code-cell}} ipython3\n{cell}\n```\n")
    places = [str(notebooks), profile("seed: 1"), str(tmp_path / "out"), str(ROOT / "book" / "tools")]
    driver = subprocess.Popen([sys.executable, "-c", DRIVER, *places], stderr=subprocess.DEVNULL)
    assert waited_for(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text())
    kernel = Path("/proc", (tmp_path / "pid").read_text())
    driver.send_signal(how)
    assert driver.wait(30) != 0
    assert waited_for(lambda: not (kernel / "cmdline").exists() or not (kernel / "cmdline").read_bytes())
    assert not (tmp_path / "out" / "11_page.ipynb").exists()


def test_what_is_fresh_is_not_run_again_and_what_is_gone_is_removed(notebooks, profile, tmp_path, monkeypatch):
    runs = []

    def executed(notebook, name, parameters, out):
        runs.append(name)
        return notebook

    monkeypatch.setattr(execute, "execute", executed)
    monkeypatch.setattr(execute, "side_by_side", lambda lanes, out: [execute.run(lane, out) for lane in lanes])
    out = tmp_path / "out"
    for n in (3, 3, 4):
        execute.execute_all(notebooks, profile(f"notebooks: {{n_samples: {n}}}"), out, "artifacts")
    assert runs == ["11_page", "11_page"]
    shutil.move(notebooks / "11_page.md", notebooks / "12_page.md")
    execute.execute_all(notebooks, profile("notebooks: {n_samples: 4}"), out, "artifacts")
    assert [p.name for p in out.glob("*.ipynb")] == ["12_page.ipynb"]


@pytest.fixture
def edit(tmp_path, monkeypatch):
    """`edit(module, old, new)`: from then on keys are of the edited text."""
    edited = {}

    def anew(cached):
        return lambda module: cached.__wrapped__(module) if module in edited else cached(module)

    def replace(module: str, old: str, new: str) -> None:
        text = source.file_of(module).read_text()
        assert old in text
        path = tmp_path / f"{module}.py"
        path.write_text(text.replace(old, new, 1))
        edited[module] = path
        source.source_key.cache_clear()

    file_of = source.file_of
    monkeypatch.setattr(source, "file_of", lambda module: edited.get(module) or file_of(module))
    for name in ("_code", "_tree"):
        monkeypatch.setattr(source, name, anew(getattr(source, name)))
    yield replace
    source.source_key.cache_clear()


def keys() -> dict[str, str]:
    """Key of every chapter of the book, by its number."""
    return {p.stem[:2]: freshness.freshness_key(p, {}) for p in sorted((ROOT / "notebooks").glob("[0-9]*.md"))}


def stale(before: dict[str, str]) -> set[str]:
    return {name for name, key in keys().items() if key != before[name]}


def test_an_edit_of_a_table_of_costs_runs_the_chapters_on_costs_again_and_none_of_the_theory(edit):
    before = keys()
    edit("ddoq_core.cost.tables", "LEVELS = (10,", "LEVELS = (5, 10,")
    assert {"22", "33"} <= (found := stale(before)) and not found & {"11", "12", "13", "14", "15", "16"}


def test_an_edit_of_a_method_which_is_loaded_by_its_name_runs_every_chapter_that_makes_pictures_again(edit):
    before = keys()
    edit("ddoq_core.methods.rded", "SMALLEST_CROP = 0.08", "SMALLEST_CROP = 0.1")
    assert {"21", "31", "32"} <= (found := stale(before)) and not found & {"11", "12", "13", "14", "15", "16"}


def test_an_edit_of_the_code_of_one_chapter_runs_that_chapter_again(edit):
    before = keys()
    edit("ddoq_book.ch12.rate", "def ", "def new() -> None:\n    return None\n\n\ndef ")
    assert stale(before) == {"12"}


def test_a_docstring_and_a_comment_run_nothing_again(edit):
    before = keys()
    for module in ("ddoq_core.quantization.lloyd", "ddoq_book.style", "ddoq_core.runs.run"):
        edit(module, '"""', '"""Other words. ')
        edit(module, "\n\n\n", "\n\n\n# a comment\n")
    assert stale(before) == set()


def test_a_comment_in_code_that_a_page_shows_runs_that_page_again(tmp_path, monkeypatch):
    before, shown = keys(), tmp_path / "shown.py"
    shown.write_text(source.file_of(freshness.SHOWN).read_text() + "# a comment\n")
    file_of = freshness.file_of
    monkeypatch.setattr(freshness, "file_of", lambda name: shown if name == freshness.SHOWN else file_of(name))
    assert stale(before) == {"11", "13"}


def test_the_key_follows_the_text_the_values_and_the_lock(notebooks, tmp_path, monkeypatch):
    page, lock = notebooks / "11_page.md", tmp_path / "constraints.txt"
    lock.write_text("torch==2.0\n")
    monkeypatch.setattr(freshness, "ROOT", tmp_path)
    found = [freshness.freshness_key(page, {"n": 1})]
    assert freshness.freshness_key(page, {"n": 1, "artifacts": "elsewhere"}) == found[0]
    found.append(freshness.freshness_key(page, {"n": 2}))
    for file in (page, lock):
        file.write_text(file.read_text() + "\n")
        found.append(freshness.freshness_key(page, {"n": 1}))
    assert len(set(found)) == len(found)


def test_a_chapter_of_a_run_follows_the_defaults_of_knobs_that_its_profile_does_not_set(notebooks, monkeypatch):
    page, given = notebooks / "11_page.md", {"profile": "mine", "epochs": 7}
    found = [freshness.freshness_key(page, given), freshness.freshness_key(page, given | {"n_restarts": 3})]
    default = Profile().n_restarts
    assert freshness.freshness_key(page, given | {"n_restarts": default}) == found[0] != found[1]


def test_new_records_of_a_long_run_make_a_page_that_reads_them_stale_and_no_other(tmp_path, monkeypatch):
    monkeypatch.setattr(freshness, "ROOT", tmp_path)
    (tmp_path / "constraints.txt").write_text("")
    records = tmp_path / "book" / "results" / "table" / "a.jsonl"
    records.parent.mkdir(parents=True)
    pages = {text: tmp_path / f"{i}.md" for i, text in enumerate(('rows_of("table")', "nothing"))}
    keys = {text: [] for text in pages}
    for content in ("{}", "{}\n{}"):
        records.write_text(content)
        for text, page in pages.items():
            page.write_text(text)
            keys[text].append(freshness.freshness_key(page, {}))
    assert [len(set(found)) for found in keys.values()] == [2, 1]

"""The lint of form finds what it should find, and never fails a build."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "book" / "tools"))
import prose  # noqa: E402 - a tool beside the book, not a part of the package

WORDS = {"codebook": "", "IPC": ""}
EXERCISE = "```{solution} ex-1\n:class: dropdown\n{glue:text}`a`\n```\n"


@pytest.mark.parametrize(
    ("text", "line", "what"),
    [
        ("One\ncodebook, {term}`codebook`", 2, "'codebook' is not linked to the glossary at its first use"),
        ("{term}`codebook`\nand {term}`points <codebook>`", 2, "'codebook' is linked again"),
        ("`codebook` and $codebook$", 1, "links to 0 words of the glossary, fewer than 4"),
        ("[a](../notation.md) [b](../notation.md)", 1, "links to the notation 2 times, not once"),
        (EXERCISE * 2, 1, "has 1 exercises, fewer than 3"),
        (EXERCISE, 1, "has 1 solutions with a glued value, fewer than 3"),
        ("\n```{code-cell} ipython3\n:tags: [a]\n\nwhile True: pass\n```", 2, "a cell defines a function or a class"),
        ("```{code-cell}\n---\na: 1\n---\n" + "x = 1\n" * 26 + "```\n", 1, "a cell of 26 lines, more than 25"),
    ],
)
def test_what_is_unusual_in_a_chapter_is_said_with_its_line(tmp_path, text, line, what):
    (tmp_path / "book" / "handouts").mkdir(parents=True)
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "book" / "glossary.md").write_text("```{glossary}\ncodebook\n  points\n```\n")
    (tmp_path / "book" / "course.md").write_text("")
    (tmp_path / "notebooks" / "21_page.md").write_text(text)
    assert any(found.startswith(f"notebooks/21_page.md:{line}: {what}") for found in prose.warnings(tmp_path))


def test_a_word_that_is_linked_first_is_not_said():
    text = "# codebook\n{term}`Codebooks <codebook>`, codebook; `IPC` and {term}`IPC`"
    assert [what for _, what in prose.links(text, "21", WORDS) if "stands first" in what or "again" in what] == []


def test_a_lecture_of_another_length_and_a_handout_of_two_questions_are_said():
    found = [what for _, what in prose.lectures("(lecture-1)=\n## One\n\n| 10 | a | b |\n| 30 | a | b |\n")]
    assert found[0] == "the lecture takes 40 minutes, not 50" and len(found) == 5
    assert [what for _, what in prose.questions("1. A\n2. B\n")] == ["asks 2 questions, not 3"]


@pytest.mark.parametrize(
    ("name", "text", "line"),
    [
        ("README.md", "One\nIt goes on\nfrom its checkpoint.", 2),
        ("notebooks/12_page.md", "One\nTwo words stand here.", 2),
        ("book/api/page.md", "Mend it.", 1),
        ("ddoq_core/a.py", '\n"""What it was made from."""\n', 2),
        ("ddoq_core/a.py", 'x = 1\ny = f"{x}: mend it"\n', 2),
        ("benchmarks/b.py", "x = 1  # in the place of y\n", 1),
    ],
)
def test_a_phrase_that_has_a_plainer_form_is_said_with_its_line(tmp_path, name, text, line):
    for folder in ("book/api", "notebooks", "ddoq_core", "benchmarks"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "book" / "glossary.md").write_text("")
    (tmp_path / "book" / "course.md").write_text("")
    (tmp_path / name).write_text(text)
    assert [w for w in prose.warnings(tmp_path) if ": write " in w and w.startswith(f"{name}:{line}: ")]


@pytest.mark.parametrize(
    "text",
    [
        prose.words_of_page("`mend`, `in the place of`\n```python\nmend = 1\n```\n"),
        prose.words_of_module('mend = 1\nraise ValueError(f"no file; {mend}")\n'),
    ],
)
def test_code_has_its_own_words(text):
    assert list(prose.wording(text)) == []


def test_the_lint_ends_well_and_says_how_much_it_found():
    done = subprocess.run([sys.executable, "book/tools/prose.py"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0 and done.stdout.splitlines()[-1].endswith(" warnings of form"), done.stderr

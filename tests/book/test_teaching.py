"""The course and the exercises: what they name exists, and every check value is computed by the run that shows it."""

import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "book" / "tools"))
from prose import solutions  # noqa: E402 - a tool beside the book, not a part of the package

CHAPTERS = sorted((ROOT / "notebooks").glob("[0-9][0-9]_*.md"))
LATER = [p for p in CHAPTERS if p.stem[0] in "23"]  # Parts II and III
COURSE = (ROOT / "book" / "course.md").read_text()
LECTURES = re.split(r"^\(lecture-\d\)=$", COURSE, flags=re.MULTILINE)[1:]
HANDOUTS = sorted((ROOT / "book" / "handouts").glob("*.md"))
SOLUTIONS = re.split(r"^## ", (ROOT / "book" / "solutions.md").read_text(), flags=re.MULTILINE)[1:]
# Places that a page can link to, each with the demo of its name below it.
DEMOS = {
    f"demo-{name}"
    for chapter in CHAPTERS
    for name, shown in re.findall(r"^\(demo-(\w+)\)=\n###.*?^```\{demo\} (\w+)", chapter.read_text(), re.M | re.S)
    if name == shown
}

each_chapter = pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda p: p.stem)
each_later_chapter = pytest.mark.parametrize("chapter", LATER, ids=lambda p: p.stem)
each_lecture = pytest.mark.parametrize("lecture", LECTURES, ids=lambda text: text.split("\n")[1].lstrip("# "))


@each_chapter
def test_every_exercise_has_a_hidden_solution(chapter):
    text = chapter.read_text()
    assert re.findall(r"^```\{exercise\}\n:label: (\S+)", text, re.MULTILINE) == list(solutions(text)) != []


@each_later_chapter
def test_a_value_of_a_solution_is_not_typed(chapter):
    """Decimal fractions that a solution states outside formulas are glued."""
    for label, text in solutions(chapter.read_text()).items():
        prose = re.sub(r"\$[^$]*\$|\{[\w:]+\}`[^`]*`|`[^`]*`", "", text)
        assert re.findall(r"\d+\.\d+(?= *(?:%|points|hours|TFLOP|GB))", prose) == [], label


def test_each_lecture_has_its_handout():
    assert len(LECTURES) == len(HANDOUTS) > 0
    assert re.findall(r"\(handouts/(\w+)\.md\)", COURSE) == [p.stem for p in HANDOUTS]


def test_a_handout_has_one_picture_and_names_exercises_by_their_numbers():
    for handout in HANDOUTS:
        text = handout.read_text()
        assert text.count("```{still} ") == 1, handout.name
        assert len(re.findall(r"\{ref\}`ex-[\w-]+`", text)) >= 3, handout.name


def test_every_question_of_a_handout_has_a_solution():
    for handout, solution in zip(HANDOUTS, SOLUTIONS, strict=True):
        asked, solved = (re.findall(r"\n\d\. ", text) for text in (handout.read_text(), solution))
        assert solved == asked != [], handout.name
        assert handout.read_text().split(". ", 1)[1].startswith(solution.split(". ", 1)[1].split("\n")[0])


@each_lecture
def test_a_lecture_links_its_demo_at_its_place_in_a_chapter(lecture):
    lines = [line for line in lecture.split("\n") if "emonstration" in line]
    links = [set(re.findall(r"\{ref\}`[^`]+<(demo-\w+)>`", line)) for line in lines]
    assert lines and all(link and link <= DEMOS for link in links)


def test_every_demo_is_shown_in_a_lecture():
    assert set(re.findall(r"<(demo-\w+)>`", COURSE)) == DEMOS != set()

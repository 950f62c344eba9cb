"""The course and the exercises: complete, and every check value computed by the run that shows it."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CHAPTERS = sorted((ROOT / "notebooks").glob("[0-9][0-9]_*.md"))
LATER = [p for p in CHAPTERS if p.stem[0] in "23"]  # Parts II and III
COURSE = (ROOT / "book" / "course.md").read_text()
LECTURES = re.split(r"^\(lecture-\d\)=$", COURSE, flags=re.MULTILINE)[1:]
HANDOUTS = sorted((ROOT / "book" / "handouts").glob("*.md"))
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


def solutions(chapter: Path) -> dict[str, str]:
    """Labels of a chapter's exercises, and the text of their solutions."""
    return dict(re.findall(r"^```\{solution\} (\S+)\n:class: dropdown\n(.*?)^```$", chapter.read_text(), re.M | re.S))


@each_chapter
def test_every_exercise_has_a_hidden_solution(chapter):
    exercises = re.findall(r"^```\{exercise\}\n:label: (\S+)", chapter.read_text(), re.MULTILINE)
    assert exercises == list(solutions(chapter)) and len(exercises) >= 3


@each_later_chapter
def test_three_solutions_or_more_have_a_value_that_this_run_computed(chapter):
    assert sum("{glue:text}" in text for text in solutions(chapter).values()) >= 3


@each_later_chapter
def test_a_value_of_a_solution_is_not_typed(chapter):
    """Decimal fractions that a solution states outside formulas are glued."""
    for label, text in solutions(chapter).items():
        prose = re.sub(r"\$[^$]*\$|\{[\w:]+\}`[^`]*`|`[^`]*`", "", text)
        assert re.findall(r"\d+\.\d+(?= *(?:%|points|hours|TFLOP|GB))", prose) == [], label


def test_the_course_has_four_lectures_and_each_its_handout():
    assert len(LECTURES) == len(HANDOUTS) == 4
    assert re.findall(r"\(handouts/(\w+)\.md\)", COURSE) == [p.stem for p in HANDOUTS]


@each_lecture
def test_a_lecture_takes_fifty_minutes(lecture):
    assert sum(int(minutes) for minutes in re.findall(r"^\| (\d+) \|", lecture, re.MULTILINE)) == 50


@each_lecture
def test_a_lecture_says_what_a_teacher_needs(lecture):
    goals, project, exercises, wrong = (
        lecture.split(f"**{words}")[1].split("\n\n")[0 if words != "What students" else 1]
        for words in ("Goals.", "Project:", "Exercises.", "What students")
    )
    assert len(goals) > 100
    assert "{numref}`fig-" in project
    assert len(re.findall(r"\{ref\}`ex-", exercises)) >= 4
    assert wrong.count('- *"') >= 4
    assert "chapters/" in lecture


@each_lecture
def test_a_lecture_links_its_demo_at_its_place_in_a_chapter(lecture):
    lines = [line for line in lecture.split("\n") if "emonstration" in line]
    links = [set(re.findall(r"\{ref\}`[^`]+<(demo-\w+)>`", line)) for line in lines]
    assert lines and all(link and link <= DEMOS for link in links)


def test_every_demo_is_shown_in_a_lecture():
    assert set(re.findall(r"<(demo-\w+)>`", COURSE)) == DEMOS
    assert len(DEMOS) == 4


@pytest.mark.parametrize("handout", HANDOUTS, ids=lambda p: p.stem)
def test_a_handout_asks_three_questions(handout):
    assert len(re.findall(r"^\d\. ", handout.read_text(), re.MULTILINE)) == 3

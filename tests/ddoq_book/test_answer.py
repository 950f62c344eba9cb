"""The five sentences on the weights: computed from the records, and the same in the README."""

from pathlib import Path

import pytest

from ddoq_book.answer import FEW, MANY, advice, answer, in_short
from ddoq_book.ch31.quoted import paper_table1, quoted_gains
from ddoq_book.ch34.controlled import Controlled
from ddoq_book.ch34.imbalance import TEST_LAWS
from ddoq_book.recorded import rows_of
from ddoq_book.studies.unequal_masses import STUDENTS
from ddoq_core.config.profile import Profile

README = Path(__file__).parents[2] / "README.md"


@pytest.fixture(scope="module")
def sentences() -> list[str]:
    return answer()


def test_there_are_five_sentences_that_say_a_number_and_its_interval(sentences):
    assert len(sentences) == 5
    assert all("[" in s and s.endswith(".") and s[0].isupper() for s in sentences)


def test_the_readme_gives_the_answer_of_the_records(sentences):
    text = " ".join(README.read_text().split())
    missing = [s for s in (in_short(), *sentences, advice()) if s not in text]
    assert not missing, f"README.md lacks: {missing}"


def test_the_readme_quotes_the_papers_claim():
    printed = {(row.ipc, row.method): row.accuracies[0].percent for row in paper_table1()}
    gain = next(g.points for g in quoted_gains() if g.ipc == 10)
    text = " ".join(README.read_text().split())
    assert all(f"{x} %" in text for x in (printed[10, "D⁴M"], printed[10, "DDOQ"])) and f"{gain:+} points" in text


def test_the_advice_follows_from_the_verdicts():
    """Unequal parts, few points, a small network, a test law like the training law: the gain asks for each of them."""
    rows, profile = rows_of("controlled"), Profile.load("table")
    training, equal = (Controlled.of(rows, profile, law) for law in TEST_LAWS)
    few = training.compare("ddoq", "d4m", *FEW)
    assert few.verdict == training.compare("ddoq", "d4m", *FEW, slope=True).verdict == "higher"
    assert training.compare("ddoq", "d4m", *MANY).estimate.mean < few.estimate.mean
    small, large = (training.compare("ddoq", "d4m", *FEW, students=[name]) for name in (STUDENTS[0], STUDENTS[-1]))
    assert small.estimate.mean > large.estimate.mean
    assert equal.compare("ddoq", "d4m", *FEW).verdict == "lower"

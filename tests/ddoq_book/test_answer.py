"""The five sentences on the weights: computed from the records, and the same in the README."""

from pathlib import Path

import pytest

from ddoq_book.answer import answer

README = Path(__file__).parents[2] / "README.md"


@pytest.fixture(scope="module")
def sentences() -> list[str]:
    return answer()


def test_there_are_five_sentences_that_say_a_number_and_its_interval(sentences):
    assert len(sentences) == 5
    assert all("[" in s and s.endswith(".") and s[0].isupper() for s in sentences[:4])


def test_the_readme_gives_the_answer_of_the_records(sentences):
    text = " ".join(README.read_text().split())
    missing = [s for s in sentences if s not in text]
    assert not missing, f"README.md lacks: {missing}"

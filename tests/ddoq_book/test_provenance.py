"""The end of a page says what made it, and nothing of the machine's folders."""

import pytest

from ddoq_book.provenance import provenance_text, records_text
from ddoq_core.config.profile import Profile
from ddoq_core.store.artifacts import Store


@pytest.fixture
def artifact(tmp_path):
    store = Store(tmp_path / "secret-folder", say=lambda text: None)
    return store.make("encode", lambda work: work.json("x.json", {}) and None, parameters={})


def test_it_names_the_profile_and_what_differs_from_the_default(artifact):
    text = provenance_text(Profile.of({"profile": "mine", "epochs": 7}), [artifact], [], 12.4)
    assert "`mine`" in text and "`epochs=7`" in text and "n_seeds" not in text
    assert "12 s" in text and "torch" in text


def test_it_lists_every_artifact_once_with_its_seconds(artifact):
    text = provenance_text(Profile(), [artifact, artifact], [], 1)
    assert text.count(artifact.key) == 1
    assert f"| {artifact.run['seconds']:.0f} |" in text


def test_it_sums_the_seconds_of_the_students_and_counts_a_shared_one_once():
    rows = [{"key": "a", "seconds": 10.0}, {"key": "b", "seconds": 20.0}, {"key": "b", "seconds": 20.0}]
    assert "30 s of training, 2 students" in provenance_text(Profile(), [], rows, 1)


def test_it_says_nothing_when_all_is_default():
    assert "| nothing |" in provenance_text(Profile(), [], [], 1)


def test_it_shows_no_folder_of_the_machine(artifact, tmp_path):
    profile = Profile.of({name: str(tmp_path) for name in ("artifacts", "data_root", "prior_path", "autoencoder_path")})
    assert str(tmp_path) not in provenance_text(profile, [artifact], [], 1)


def test_records_tell_when_where_and_how_long_their_students_were_trained():
    shared = {"device": "CPU", "commit": "abc", "versions": {"torch": "2"}, "profile": "table"}
    shared |= {"dataset": "fashion_mnist", "parameters": {"train_size": 6000}}
    rows = [
        shared | {"key": k, "seconds": 1800.0, "date": f"2026-11-0{d} 10:00:00 UTC"}
        for k, d in zip("aab", "112", strict=True)
    ]
    text = records_text(rows)
    assert "| students | 2, in 3 rows |" in text and "| trained for | 1.0 hours of one thread |" in text
    assert "2026-11-01 to 2026-11-02" in text and "`abc`" in text
    assert "| data | fashion_mnist (6,000 of its training images) |" in text


def test_no_records_are_said_to_be_none():
    assert "Nothing has been recorded" in records_text([])

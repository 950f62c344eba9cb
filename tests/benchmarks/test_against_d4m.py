"""The comparison with D4M's way of working compares the pipeline itself, and work of equal extent."""

import pytest
import torch

from ddoq_benchmarks import against_d4m as module
from ddoq_book.ch22.toy_imagenet import rehearsals
from ddoq_core.config.profile import Profile
from ddoq_core.pipeline.cluster import load_prototypes
from ddoq_core.runs.run import Run


@pytest.fixture
def run(tmp_path) -> Run:
    profile = Profile(artifacts=str(tmp_path / "artifacts"), threads=1)
    return Run(rehearsals(profile, tmp_path / "data", 9)["stable-diffusion"].replace(teacher="convnet-8", n_steps=4))


def test_our_side_is_the_pipeline_and_both_make_every_image(run, monkeypatch):
    written, books = {}, []
    real_write, real_cluster = module.write_image, module._cluster

    def write(work, label, item, image):
        written.setdefault(work.path.name, set()).add((label, item))
        real_write(work, label, item, image)

    monkeypatch.setattr(module, "write_image", write)
    monkeypatch.setattr(module, "_cluster", lambda *a: books.append(real_cluster(*a)) or books[-1])
    found = module.beside_d4m(run)
    assert len(written["ours"]) == 3 * (2 + 4) and written["ours"] == written["theirs"]
    points, _ = load_prototypes(run.prototypes(), 4)
    torch.testing.assert_close(torch.stack([books[-1][c, 4] for c in range(3)]), points)
    assert [s.name for s in found.stages] == ["encode", "cluster", "synthesize"]
    assert found.distortion < 1  # the best of ten runs beside one pass
    assert all(s.ours > 0 and s.theirs > 0 for s in found.stages)
    assert (found.n_images, found.levels, found.threads) == (len(run.dataset.train), (2, 4), 1)


def test_the_table_gives_ratios_and_the_whole():
    stages = tuple(module.Stage(name, 2.0, 5.0) for name in ("encode", "cluster", "synthesize"))
    rows = module.d4m_table(module.BesideD4M(stages, 0.9, 30, (2, 4), "dit", 1)).rows
    assert [row[0] for row in rows] == ["encode", "cluster", "synthesize", "all"]
    assert rows[1][1:] == (2.0, 5.0, 2.5, 0.9) and rows[3][1:] == (6.0, 15.0, 2.5, None)

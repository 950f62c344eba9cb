"""The rehearsal has ImageNet's layout and runs through the entry points of the real thing."""

import pytest
from PIL import Image

from ddoq_book.ch22.toy_imagenet import PRIORS, REGIONS, photographs, rehearsals
from ddoq_core.pipeline.datasets import load_dataset
from ddoq_core.pipeline.prior import load_prior
from ddoq_core.pipeline.run import Run
from ddoq_core.profile import Profile


def test_the_tree_is_laid_out_as_imagenet_is(tmp_path):
    mapping = photographs(tmp_path, 6, 0)
    assert sorted(p.name for p in (tmp_path / "train").iterdir()) == sorted(REGIONS)
    assert [len(list((tmp_path / "train" / w).iterdir())) for w in REGIONS] == [6, 6, 6]
    val = sorted(p.name for p in (tmp_path / "val").iterdir())
    assert val == [f"ILSVRC2012_val_{i:08d}.JPEG" for i in range(1, 7)]
    assert mapping.read_text().splitlines()[:2] == ["ImageId,PredictionString", mapping.read_text().splitlines()[1]]
    with Image.open(tmp_path / "val" / val[0]) as image:
        assert image.format == "JPEG" and image.mode == "RGB"
    data = load_dataset(Profile(dataset="imagefolder", data_root=str(tmp_path), val_mapping=str(mapping)))
    assert data.class_names == ["palace", "alp", "daisy"] and len(data.test) == 6


@pytest.mark.parametrize("name", PRIORS)
def test_a_rehearsal_runs_every_step_with_each_prior_and_twice_the_same(tmp_path, name, contents):
    made = []
    for attempt in ("a", "b"):
        profile = Profile(artifacts=str(tmp_path / attempt), threads=1)
        run = Run(rehearsals(profile, tmp_path / "data", 6)[name].but(students=["convnet-8"], teacher="convnet-8"))
        rows = run.train_students()
        assert {row["method"] for row in rows} == {"random_real", "d4m", "ddoq"}
        assert not (tmp_path / attempt / "encode").exists()  # one pass
        made.append(contents(run.distilled("ddoq", 4).artifact))
    assert made[0] == made[1] and len(made[0]) > 12


def test_the_priors_are_read_as_what_they_are(tmp_path):
    for name, save in PRIORS.items():
        save(tmp_path / name)
        prior = load_prior(tmp_path / name)
        assert prior.latent_shape == (4, 8, 8) and prior.image_size == 16 and prior.channels == 3

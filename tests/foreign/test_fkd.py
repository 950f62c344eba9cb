"""Labels in FKD's layout: by torchvision's own transforms, what a reader shows the teacher is what it has labelled."""

from pathlib import Path

import pytest
import torch
from torch.utils.data import BatchSampler, RandomSampler, TensorDataset
from torchvision.datasets import ImageFolder
from torchvision.transforms import InterpolationMode
from torchvision.transforms import functional as F

from ddoq_core.errors import InputError
from ddoq_core.foreign.fkd import FKD_SEED, write_fkd
from ddoq_core.methods.random_real import random_real
from ddoq_core.pipeline.teacher import load_teacher
from ddoq_core.pipeline.teacher import teacher as make_teacher
from ddoq_core.runs.run import Run

CONFIG = {"epochs": 3, "batch_size": 4, "flip": True, "crop_scale": 0.3, "label_epochs": 2}


@pytest.fixture
def written(tmp_path, store, squares, tiny):
    profile = tiny.replace(**CONFIG)
    made, judge = random_real(store, squares, profile, ipc=3, distill_seed=0), make_teacher(store, squares, profile)
    folder = write_fkd(store, made, squares, judge, profile, tmp_path / "fkd")
    return folder, made, judge, profile


def test_the_files_are_batches_of_the_layout(written):
    folder = written[0]
    assert sorted(p.name for p in folder.iterdir()) == ["epoch_0", "epoch_1"]
    assert sorted(p.name for p in (folder / "epoch_1").iterdir()) == ["batch_0.tar", "batch_1.tar", "batch_2.tar"]
    for number, n in enumerate((4, 4, 1)):
        crop, flip, index, share, box, logits = torch.load(folder / "epoch_0" / f"batch_{number}.tar")
        assert crop.shape == (n, 4) and crop.dtype == torch.float32 and ((crop >= 0) & (crop <= 1)).all()
        assert flip.shape == (n,) and flip.dtype == torch.bool and 0 <= share <= 1
        assert sorted(index.tolist()) == list(range(n)) and len(box) == 4
        assert logits.shape == (n, 3) and logits.dtype == torch.float16


def test_a_reader_of_the_layout_shows_the_teacher_what_it_has_labelled(written, squares):
    """Images by the seed of the sampler, crops in shares, then mirrored, then the batch's box: as those programs do."""
    folder, made, judge, profile = written
    pictures, network = ImageFolder(made.artifact.path), load_teacher(judge)
    dataset = TensorDataset(torch.arange(len(pictures)))
    sampler = RandomSampler(dataset, generator=torch.Generator().manual_seed(FKD_SEED))
    seen = set()
    for epoch in range(2):
        for number, rows in enumerate(BatchSampler(sampler, profile.batch_size, drop_last=False)):
            crop, flip, index, _, box, logits = torch.load(folder / f"epoch_{epoch}" / f"batch_{number}.tar")
            shown = []
            for row, (top, left, height, width), mirrored in zip(rows, crop.tolist(), flip.tolist(), strict=True):
                image = F.to_tensor(pictures[row][0].convert("L"))
                place = [round(share * 16) for share in (top, left, height, width)]
                view = F.resized_crop(image, *place, [16, 16], InterpolationMode.BILINEAR, antialias=False)
                shown.append(F.hflip(view) if mirrored else view)
            batch = torch.stack(shown)
            mixed = batch.clone()
            mixed[:, :, box[0] : box[2], box[1] : box[3]] = batch[index][:, :, box[0] : box[2], box[1] : box[3]]
            with torch.no_grad():
                expected = network(squares.normalise(mixed))
            torch.testing.assert_close(logits.float(), expected, rtol=2e-3, atol=2e-3)
            seen |= set(rows)
    assert seen == set(range(9))


def test_what_is_there_is_kept_and_what_is_missing_is_made_the_same(written, store, squares):
    folder, made, judge, profile = written
    path, kept = folder / "epoch_1" / "batch_2.tar", folder / "epoch_0" / "batch_0.tar"
    before, stamp = torch.load(path)[-1], kept.stat().st_mtime_ns
    path.unlink()
    write_fkd(store, made, squares, judge, profile, folder)
    assert torch.load(path)[-1].equal(before) and kept.stat().st_mtime_ns == stamp


def test_without_cutmix_nothing_is_pasted_and_two_sizes_are_refused(tmp_path, store, squares, tiny, written):
    _, made, judge, profile = written
    folder = write_fkd(store, made, squares, judge, profile.replace(cutmix=False), tmp_path / "plain")
    assert torch.load(folder / "epoch_0" / "batch_0.tar")[2:5] == [None, None, None]
    with pytest.raises(InputError, match="one size for teacher and students"):
        write_fkd(store, made, squares, judge, profile.replace(image_size=8, teacher_size=16), tmp_path / "two")


def test_one_command_writes_them_and_prints_where_pictures_and_labels_are(ddoq, monkeypatch, squares):
    monkeypatch.setattr(Run, "dataset", squares)
    small = {
        "image_size": 16,
        "teacher": "convnet-8",
        "teacher_epochs": 1,
        "label_epochs": 2,
        "epochs": 2,
        "batch_size": 4,
    }
    words = ["export-labels", "labels", "--ipc", "2", "--profile", "smoke"]
    words += [word for name, value in small.items() for word in ("-p", f"{name}={value}")]
    code, out, _ = ddoq(*words, "--method", "random_real")
    pictures, labels = out.split()
    assert code == 0 and len(ImageFolder(pictures)) == 6 and labels == "labels"
    found = sorted(path.relative_to("labels").as_posix() for path in Path("labels").rglob("*.tar"))
    assert found == [f"epoch_{epoch}/batch_{number}.tar" for epoch in range(2) for number in range(2)]
    code, _, err = ddoq(*words, "--method", "ddoc")
    assert code == 2 and "no method 'ddoc' with a distilled set; did you mean 'ddoq'?" in err

"""The card of a distilled set: README.md with the YAML that the Hugging Face hub reads, written by the run.

In: a data set and the counts of its images. Out: text. With it `datasets.load_dataset(FOLDER)` needs no further
argument, and the folder can be pushed as it is. The owner of the data fills in the licence, which a run does not know.
"""

from collections.abc import Sequence

from jaxtyping import Int64
from torch import Tensor

from ..data.dataset import Dataset

CARD = "README.md"
SIZES = ((1000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))  # the hub's names

TEXT = """---
pretty_name: {name}, distilled to {n} images
license: unknown
task_categories:
- image-classification
tags:
- dataset-distillation
size_categories:
- {size}
configs:
- config_name: default
  data_files:
  - split: train
    path:
    - "*/*.png"
    - metadata.jsonl
---

# {name}, distilled to {n} images

{n} images of {n_classes} classes, which stand for {real} training images of the data set `{name}`. ddoq_core wrote
them; `manifest.json` has the parameters, the class table, the content of all inputs and a checksum of every file.

- **Fields** (`metadata.jsonl`): label, count of real images that an image stands for, weight in the loss (eq. 33 of
  arXiv:2501.07681), seed, prompt, checksum. `sample_weights.txt` has the weights alone.
- **Licence**: that of the images it is made from, and of the model that made it. Put it here before you publish.
"""


def dataset_card(dataset: Dataset, counts: Int64[Tensor, "C K"] | Sequence[Int64[Tensor, " _"]]) -> str:
    """The card of images with these counts, class by class."""
    n, real = sum(map(len, counts)), sum(int(of_class.sum()) for of_class in counts)
    size = next((name for most, name in SIZES if n < most), "n>1M")
    return TEXT.format(name=dataset.name, n=n, n_classes=dataset.n_classes, real=real, size=size)

"""Storage of soft labels: all logits in half precision, only the largest, or 8 bits each.

In: float16 logits of views. Out: tensors for a file, and from these the target logits of a student. With `topk` the
classes that are not kept share the remaining probability equally, at the temperature of the students. Fewer epochs,
shown in turn (`label_epochs`), shrink any form.
"""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float, Float16, Int64
from torch import Tensor

from ..config.profile import Profile

LEVELS = 255  # steps between the lowest and the highest logit of a view, in 8 bits


@dataclass(frozen=True)
class LabelForm:
    """One way to store the logits of a number of classes."""

    kind: str = "float16"  # float16, topk or int8
    top: int = 0  # number of logits that topk keeps
    temperature: float = 1.0  # at which topk divides the rest

    @classmethod
    def of(cls, knobs: dict) -> "LabelForm":
        """The form that `form_knobs` describes."""
        return cls(knobs.get("label_form", "float16"), knobs.get("label_top", 0), knobs.get("temperature", 1.0))

    def row_bytes(self, n_classes: int) -> int:
        """Bytes of the label of one view."""
        kept = min(self.top, n_classes)
        return {"float16": 2 * n_classes, "topk": 4 * kept + 2, "int8": n_classes + 4}[self.kind]

    def packed(self, logits: Float16[Tensor, "n classes"]) -> dict[str, Tensor]:
        """Tensors for a file, with n rows each."""
        if self.kind == "float16":
            return {"logits": logits}
        exact = logits.float()
        if self.kind == "int8":
            low, high = exact.amin(1, keepdim=True), exact.amax(1, keepdim=True)
            share = (exact - low) / (high - low).clamp(min=torch.finfo(torch.float32).tiny)
            return {"levels": (LEVELS * share).round().to(torch.uint8), "ends": torch.cat([low, high], 1).half()}
        values, classes = exact.topk(min(self.top, logits.shape[1]), dim=1)
        others = exact.scatter(1, classes, -math.inf)
        n_others = max(logits.shape[1] - self.top, 1)
        rest = self.temperature * ((others / self.temperature).logsumexp(1) - math.log(n_others))
        return {"values": values.half(), "classes": classes.to(torch.int16), "rest": rest.half()}

    def logits(
        self, packed: dict[str, Tensor], rows: Int64[Tensor, " b"], n_classes: int
    ) -> Float[Tensor, "b classes"]:
        """Logits of some rows, up to the precision of the form."""
        found = {name: tensor[rows] for name, tensor in packed.items()}
        if self.kind == "float16":
            return found["logits"]
        if self.kind == "int8":
            low, high = found["ends"].float().split(1, dim=1)
            return low + (high - low) * found["levels"].float() / LEVELS
        spread = found["rest"].float()[:, None].expand(-1, n_classes)
        return spread.scatter(1, found["classes"].long(), found["values"].float())


def form_knobs(profile: Profile) -> dict:
    """The knobs of a profile that shape the form of its labels; none for float16."""
    names = {"float16": (), "int8": ("label_form",), "topk": ("label_form", "label_top", "temperature")}
    return profile.subset(*names[profile.label_form])


def label_bytes(n: int, n_classes: int, epochs: int, form: LabelForm = LabelForm()) -> int:
    """Bytes on disk of the labels of n images over all epochs."""
    return n * form.row_bytes(n_classes) * epochs

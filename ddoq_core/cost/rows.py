"""One line of a cost: an artifact of a run and what making it takes."""

from dataclasses import dataclass

NETWORK_WEIGHT, TRAINED_WEIGHT = 4, 16  # of a classifier: alone; with its gradient and AdamW's two moments


@dataclass(frozen=True)
class Cost:
    """One artifact of a run: what making it costs. `times` says how many of its kind the run makes."""

    step: str  # as the folder of its artifacts is called
    network: str  # where there are several
    ipc: int | None  # None: all levels, or all real images
    times: int
    flops: float
    reads: float  # bytes from the disk
    writes: float  # bytes to it
    memory: float  # bytes of parameters (prior, classifiers) or of the latents of a class (cluster)

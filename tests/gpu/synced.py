"""The `ddoq` command with students whose batch norm takes the statistics of the whole batch, over all processes."""

from torch import nn

from ddoq_core.cli import main
from ddoq_core.pipeline import train_student

plain = train_student.make_network
train_student.make_network = lambda *shape: nn.SyncBatchNorm.convert_sync_batchnorm(plain(*shape))

if __name__ == "__main__":
    main()

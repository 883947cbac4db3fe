"""How a classifier runs."""

from dataclasses import dataclass

from torchstone_runtime.inference.gpu_options import ON_NVIDIA
from torchstone_runtime.system.openvino import OPENVINO, Precision


@dataclass(frozen=True, slots=True)
class ExecutionPlan:
    """How a classifier runs, and why.

    Attributes:
        variant, provider, reason: name of the model's variant, the provider that runs it, and why it runs there.
        threads: calls that run at once.
        micro_batch: largest number of images in a call.
        buckets: batch sizes of a GPU, ascending: a batch is cut into these; none on the CPU, which takes any size.
        tf32: whether float32 products may be computed in TF32; only on a GPU.
        cuda_graphs: whether each batch size is recorded once and replayed.
        precision: number format of the products; `bf16` where the variant was certified in it.
        small_calls: runner of the calls that are too small to be shared out, and why; empty before that is decided, and
            where nothing is to be.
        waiting_calls: whether callers that wait are answered together, and why; empty as above.
    """

    variant: str
    provider: str
    reason: str
    threads: int
    micro_batch: int
    buckets: tuple[int, ...] = ()
    tf32: bool = False
    cuda_graphs: bool = False
    precision: Precision = "fp32"
    small_calls: str = ""
    waiting_calls: str = ""

    @property
    def tile(self) -> int:
        """The same as `micro_batch`, by its older name."""
        return self.micro_batch

    def __str__(self) -> str:
        threads = "1 thread" if self.threads == 1 else f"{self.threads} threads"
        sizes = f"batches of {', '.join(map(str, self.buckets))}" if self.buckets else f"tiles of {self.micro_batch}"
        words = [f"{self.variant} on {self.provider} ({self.reason})", threads, sizes]
        if self.provider in ON_NVIDIA:
            words.append("TF32 allowed" if self.tf32 else "no TF32")
        words += [f"products in {self.precision}"] if self.provider == OPENVINO else []
        words += ["CUDA graphs"] if self.cuda_graphs else []
        return ", ".join(words + [said for said in (self.small_calls, self.waiting_calls) if said])


Plan = ExecutionPlan
"""The older name of the class."""

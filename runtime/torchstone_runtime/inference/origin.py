"""Where a classifier was loaded from."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a classifier was loaded from and how: what is pickled of it.

    Attributes:
        path: of the bundle or the lone file, absolute.
        variant: of the bundle; None for a lone file.
        provider: that was asked for, `auto` included.
        threads: that were asked for.
        replay_golden: whether golden samples were replayed.
        check_hashes: whether the files' hashes were checked.
        public_key: path of the key whose signature was required, absolute; None for none.
        sha256: of the model file.
        tf32: whether a GPU was allowed to use TF32.
        cuda_graphs: whether CUDA graphs were asked for.
    """

    path: str
    variant: str | None
    provider: str
    threads: int | None
    replay_golden: bool
    check_hashes: bool
    public_key: str | None
    sha256: str
    tf32: bool = False
    cuda_graphs: bool = False

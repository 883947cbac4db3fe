"""`torchstone score`: every picture of a large input, exactly once, into a folder of parts."""

import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, get_args

import click

from torchstone_runtime.cli.command import command, option
from torchstone_runtime.cli.options import (
    BITS_OPTION,
    BUNDLE_PATH,
    INVERT_OPTION,
    TOP_HELP,
    json_option_beside_paths,
    load_options,
    out_option,
)
from torchstone_runtime.cli.output import print_result, require_writable, tell, tell_detail, warn
from torchstone_runtime.cli.validation_options import BY_CLASS_OPTION, COVERAGE_OPTION, require_coverage
from torchstone_runtime.components import require_component
from torchstone_runtime.errors import CheckFailedError, UsageError
from torchstone_runtime.inference.load_options import LoadOptions
from torchstone_runtime.scoring.job import EngineName, OutputFormat
from torchstone_runtime.text import showable

if TYPE_CHECKING:
    from torchstone_runtime.inference.classifier import Classifier
    from torchstone_runtime.scoring.job import ScoringJob
    from torchstone_runtime.scoring.local_engine import ScoringResult, Share
    from torchstone_runtime.scoring.ray_cluster import RayCluster
    from torchstone_runtime.shards.shard_list import ShardList

_SHARE: Final = re.compile(r"(\d+)/(\d+)")
_READING: Final = ("per_shard", "image_column", "label_column", "id_column")
_WRITING: Final = ("form", "top", "probabilities", "coverage", "by_class", "invert", "bits")


@command(
    examples=(
        "torchstone score fashion photos --out scores",
        "torchstone score bundles/cnn3-1 's3://bucket/data-{000..099}.tar' --out s3://bucket/scores --max-errors 100",
        "torchstone score bundles/cnn3-1 data.parquet --label-column label --probabilities --out scores --summary",
    )
)
@click.argument("bundle", type=BUNDLE_PATH)
@click.argument("inputs", nargs=-1, required=True)
@out_option(required=True, type=str, metavar="DIRECTORY|ADDRESS")
@option(
    *("--format", "form"),
    group="Output",
    type=click.Choice(get_args(OutputFormat)),
    help="Format of the output  [default: parquet; needs torchstone[scale]]",
)
@option(
    *("--top", "--top-k", "top"),
    group="Output",
    aliases=("--top-k",),
    type=click.IntRange(min=0),
    default=0,
    help=TOP_HELP,
)
@option("--probabilities", group="Output", is_flag=True, help="Write the probability of every class.")
@COVERAGE_OPTION
@BY_CLASS_OPTION
@option(
    "--summary",
    group="Output",
    is_flag=True,
    help="Write summary.json and summary.html: counts by class, confidence, drift, errors by kind.",
)
@option(
    "--max-errors",
    group="Gates",
    type=click.IntRange(min=0),
    help="End with exit code 1 when more pictures than this can't be scored  [default: no limit]",
)
@option(
    "--per-shard",
    group="Data",
    type=click.IntRange(min=1),
    default=1000,
    show_default=True,
    help="Largest number of picture files, or of images of an npz file, in a part.",
)
@option("--image-column", group="Data", help="Parquet column of the pictures, or their ending in a tar archive.")
@option("--label-column", group="Data", help="Parquet column, or key of a tar's .json, with the right class.")
@option("--id-column", group="Data", help="Parquet column, or key of a tar's .json, with the id.")
@option(
    "--engine",
    group="Advanced",
    type=click.Choice(get_args(EngineName)),
    default="local",
    show_default=True,
    help="Where to run: in this process, or on the workers of a Ray cluster (torchstone[ray]).",
)
@option("--address", group="Advanced", help="Ray: running cluster, auto or HOST:PORT  [default: one started here]")
@option(
    *("--ray-workers", "--workers", "ray_workers"),
    group="Advanced",
    aliases=("--workers",),
    type=click.IntRange(min=1),
    help="Ray: number of workers; waits for nodes that come on demand  [default: as many as there is room for]",
)
@option("--num-gpus", group="Advanced", type=click.FloatRange(min=0), help="Ray: GPUs of a worker, such as 1 or 0.5.")
@option("--share", group="Advanced", metavar="I/N", help="Score only every Nth part, from the Ith on (I from 1).")
@INVERT_OPTION
@BITS_OPTION
@json_option_beside_paths
@load_options
def score(bundle: Path, inputs: tuple[str, ...], *, loading: LoadOptions, **options: Any) -> None:  # noqa: ANN401
    """Score every picture of INPUTS with BUNDLE exactly once, a part of the output for each part of the input.

    INPUTS are folders, patterns, Parquet files, tar archives (WebDataset) and npz files, or @FILE with a list of
    them; on this machine, or at s3://, gs:// and wherever fsspec reads.

    The parts are written to --out, a folder or an address. After an interruption, run the command again: it continues
    with the missing parts. A picture that can't be read becomes a row with an error.
    """
    require_component("cpu", "onnxruntime")
    share, cluster = _share(options.pop("share")), _cluster(options)
    job = _job(options)
    require_writable([options["json_file"]])
    from torchstone_runtime.inference.classifier import Classifier
    from torchstone_runtime.shards.plan_inputs import plan_inputs
    from torchstone_runtime.system.cpu import usable_cpus

    threads = loading.threads or usable_cpus()
    with Classifier.load_with(bundle, replace(loading, threads=1, mode="throughput")) as classifier:
        tell_detail(f"plan: {classifier.plan}; {threads} batches at once")
        require_coverage(classifier, options["coverage"], by_class=options["by_class"])
        if job.output.drift:
            classifier.statistics.read()
        with plan_inputs(inputs, job.reading) as shards:
            for line in shards.others.lines("the folders"):
                warn(line)
            wishes = (threads, share, options["max_errors"], options["summary"])
            _score(classifier, shards, job, wishes, cluster, options["json_file"])


def _score(
    classifier: "Classifier",
    shards: "ShardList",
    job: "ScoringJob",
    wishes: "tuple[int, Share, int | None, bool]",
    cluster: "RayCluster | None",
    json_file: Path | None,
) -> None:
    from torchstone_runtime.scoring.folder_record import claim_output
    from torchstone_runtime.scoring.local_engine import ErrorBudget, score_locally
    from torchstone_runtime.scoring.parts import PartsFolder

    threads, share, most, summary = wishes
    record = claim_output(classifier, shards, job)
    if cluster is None:
        result = score_locally(classifier, shards, job, threads=threads, share=share, budget=ErrorBudget(most))
    else:
        from torchstone_runtime.scoring.ray_engine import score_on_ray

        budget = ErrorBudget(most)
        result = score_on_ray(classifier, shards, job, cluster=cluster, share=share, budget=budget, waits=warn)
    print_result(json_file, lambda: {"out": job.out, **result.to_json()}, lambda: showable(_in_words(result, job)))
    if result.tally.failed:
        kinds = ", ".join(f"{count:,} x {kind.rstrip('.')}" for kind, count in result.tally.errors.most_common(3))
        warn(f"rows with an error: {result.tally.failed:,} ({kinds})")
    if summary and (result.shards + result.there_before == len(shards) or PartsFolder(job).is_complete(len(shards))):
        from torchstone_runtime.report.scoring_page import write_summary

        for path in write_summary(classifier, record, shards, job):
            tell(f"wrote {path}")
    elif summary:
        tell("No summary yet: other processes still have to write some of the parts.")
    # Of a job that goes on, the parts that were left may hold the broken pictures alone.
    if result.tally.rows and result.tally.failed == result.tally.rows and not result.there_before:
        raise CheckFailedError(
            f"None of the {result.tally.rows:,} pictures could be scored.",
            "The column 'error' of the parts says why.",
            [f"{count:,} x {kind}" for kind, count in result.tally.errors.most_common(5)],
        )


def _in_words(result: "ScoringResult", job: "ScoringJob") -> str:
    tally = result.tally
    speed = tally.rows / max(result.seconds, 1e-9)
    there = result.there_before
    before = f"; {_parts(there)} already existed" if there else ""
    done = f"{_parts(result.shards)}, {tally.rows:,} rows"
    return f"{job.out}: {done} ({result.seconds:.1f} s, {speed:,.0f} images/s){before}"


def _parts(count: int) -> str:
    return f"{count:,} part{'' if count == 1 else 's'}"


def _job(options: dict[str, Any]) -> "ScoringJob":
    if options["form"] in (None, "parquet"):
        require_parquet(asked=options["form"] is not None)
    from torchstone_runtime.scoring.job import OutputOptions, ScoringJob
    from torchstone_runtime.shards.read_options import ReadOptions

    writing = {name: options[name] for name in _WRITING} | {"form": options["form"] or "parquet"}
    return ScoringJob(
        out=options["out"],
        reading=ReadOptions(**{name: options[name] for name in _READING}),
        output=OutputOptions(**writing, drift=options["summary"]),
    )


def require_parquet(*, asked: bool) -> None:
    """Check that Parquet can be written; where it was not asked for by name, say what else there is.

    Raises:
        MissingComponentError: pyarrow is not installed.
    """
    from torchstone_runtime.errors import MissingComponentError

    try:
        require_component("scale", "pyarrow")
    except MissingComponentError as error:
        if asked:
            raise
        remedy = f"{error.remedy}\nWithout it: --format csv, or --format jsonl."
        raise MissingComponentError(error.problem, remedy) from error


def _cluster(options: dict[str, Any]) -> "RayCluster | None":
    engine = options.pop("engine")
    given = {name: options.pop(name) for name in ("address", "ray_workers", "num_gpus")}
    if engine == "local":
        if strange := [name for name, value in given.items() if value is not None]:
            raise UsageError(f"--{strange[0].replace('_', '-')} is for a Ray cluster.", "Add --engine ray.")
        return None
    require_component("ray", "ray")
    from torchstone_runtime.scoring.ray_cluster import RayCluster

    return RayCluster(address=given["address"], workers=given["ray_workers"], gpus=given["num_gpus"] or 0.0)


def _share(text: str | None) -> "Share":
    from torchstone_runtime.scoring.local_engine import WHOLE, Share

    if text is None:
        return WHOLE
    found = _SHARE.fullmatch(text)
    if found is None or not 1 <= int(found[1]) <= int(found[2]):
        raise UsageError(f"--share is '{text}'.", "Give which share of how many, such as 2/5.")
    return Share(int(found[1]) - 1, int(found[2]))

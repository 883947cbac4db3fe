import io
import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams import metadata, plugin_data_pb2

from torchstone_train.report.tensorboard_log import TensorBoardLog


def events_of(run: Path) -> Any:  # noqa: ANN401 - tensorboard ships no types
    """Read what TensorBoard would show of a run."""
    accumulator = EventAccumulator(str(run / "tensorboard"))
    accumulator.Reload()
    return accumulator


def history_of(run: Path) -> list[dict[str, Any]]:
    """Read the epochs of a run."""
    return [json.loads(line) for line in (run / "history.jsonl").read_text().splitlines()]


def points(run: Path, tag: str) -> list[tuple[int, float]]:
    """Read a curve as (step, value)."""
    return [(event.step, event.value) for event in events_of(run).Scalars(tag)]


def assert_curve(run: Path, tag: str, values: list[float]) -> None:
    """Check that a curve has one point an epoch, with these values; events hold float32."""
    curve = points(run, tag)
    assert [step for step, _ in curve] == list(range(1, len(values) + 1))
    assert [value for _, value in curve] == pytest.approx(values, rel=1e-6)


@pytest.mark.parametrize("part", ["train", "validation"])
@pytest.mark.parametrize(
    "key", ["loss", "accuracy", "precision_macro", "recall_macro", "f1_macro", "precision_weighted", "f1_weighted"]
)
def test_scalars_are_those_of_the_history(part: str, key: str, tiny_run: Path) -> None:
    """Each epoch is one point with the value of history.jsonl."""
    assert_curve(tiny_run, f"{key}/{part}", [record[part][key] for record in history_of(tiny_run)])


@pytest.mark.parametrize("tag", ["learning_rate", "images_per_second"])
def test_rates_are_logged(tag: str, tiny_run: Path) -> None:
    """Learning rate and images/s are curves as well."""
    assert_curve(tiny_run, tag, [record[tag] for record in history_of(tiny_run)])


@pytest.mark.parametrize("name", ["reliability", "gallery"])
def test_figure_without_a_file_is_an_image(name: str, tiny_run: Path) -> None:
    """TensorBoard shows what the report draws itself."""
    (image,) = events_of(tiny_run).Images(name)
    with Image.open(io.BytesIO(image.encoded_image_string)) as picture:
        assert picture.size == (image.width, image.height)
        assert picture.info["Title"].startswith("cnn3 on ")
    assert image.width > 300


@pytest.mark.parametrize("name", ["confusion", "confusion_normalized", "mistakes"])
def test_figure_is_an_image(name: str, tiny_run: Path) -> None:
    """TensorBoard shows the very figure."""
    (image,) = events_of(tiny_run).Images(name)
    assert image.encoded_image_string == (tiny_run / "figures" / f"{name}.png").read_bytes()
    assert image.width > 300


def test_runs_are_compared_by_final_figures(tiny_run: Path) -> None:
    """The figures of the kept weights are scalars with one point each."""
    final = json.loads((tiny_run / "run.json").read_text())["metrics"]["validation"]
    for key in ("accuracy", "loss", "f1_macro"):
        ((step, value),) = points(tiny_run, f"final/{key}")
        assert step == 3
        assert value == pytest.approx(final[key], rel=1e-5)


def test_hyperparameters_are_logged_with_their_metrics(tiny_run: Path) -> None:
    """The hparams page lists the resolved recipe, seed and data beside the final figures."""
    accumulator = events_of(tiny_run)
    contents = accumulator.SummaryMetadata("_hparams_/session_start_info").plugin_data.content
    start = plugin_data_pb2.HParamsPluginData.FromString(contents).session_start_info
    assert start.hparams["lr"].number_value == 0.001
    assert start.hparams["epochs"].number_value == 3
    assert start.hparams["dataset"].string_value == "npz"
    experiment = accumulator.SummaryMetadata(metadata.EXPERIMENT_TAG).plugin_data.content
    infos = plugin_data_pb2.HParamsPluginData.FromString(experiment).experiment.metric_infos
    assert "final/accuracy" in {info.name.tag for info in infos}


def test_each_step_shows_once_after_a_resume(resumed_run: Path) -> None:
    """A run that goes on has every epoch once, also those that the first process wrote."""
    assert_curve(resumed_run, "loss/train", [record["train"]["loss"] for record in history_of(resumed_run)])
    assert len(history_of(resumed_run)) == 5


def test_resume_leaves_one_event_file(resumed_run: Path) -> None:
    """A run that is resumed often doesn't pile up files whose epochs count no more."""
    assert len(list((resumed_run / "tensorboard").iterdir())) == 1


def test_final_figures_show_once_after_a_resume(resumed_run: Path) -> None:
    """Those of the shorter training are gone."""
    assert [image.step for image in events_of(resumed_run).Images("confusion")] == [5]
    assert [step for step, _ in points(resumed_run, "final/accuracy")] == [5]


def test_events_are_there_as_soon_as_the_epoch_ends(tiny_run: Path, tmp_path: Path) -> None:
    """Nothing waits in memory: a process killed after an epoch has written it."""
    log = TensorBoardLog(tmp_path / "tensorboard")
    log.training_begins([])
    first, *_ = history_of(tiny_run)
    log.epoch_ended(first)
    assert [step for step, _ in points(tmp_path, "loss/train")] == [1]


def test_event_cut_off_by_a_kill_spoils_no_other(tiny_run: Path, tmp_path: Path) -> None:
    """A last record that is half written is passed over; what was complete still shows."""
    log = TensorBoardLog(tmp_path / "tensorboard")
    log.training_begins(history_of(tiny_run))
    (file,) = (tmp_path / "tensorboard").iterdir()
    file.write_bytes(file.read_bytes()[:-7])
    assert [step for step, _ in points(tmp_path, "loss/train")] == [1, 2]

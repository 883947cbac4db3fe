"""What a person looks at after a training: figures, TensorBoard, the report. A run is complete without them."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final

from torchstone_runtime.components import install_line
from torchstone_runtime.files import write_atomic
from torchstone_runtime.progress import stage
from torchstone_train.data.augmented_samples import NOT_AUGMENTED, Augmented
from torchstone_train.run.run_dir import RunDirectory
from torchstone_train.training.observer import Shielded, TrainingObserver, shielded
from torchstone_train.training.task import Outcome
from torchstone_train.training.validate import ValidationPass

if TYPE_CHECKING:
    from torchstone_runtime.data.split import Split
    from torchstone_train.report.experiment_logs import ExperimentLog
    from torchstone_train.report.feature_map import FeaturesOf
    from torchstone_train.report.tensorboard_log import TensorBoardLog

_NEEDS: Final = {"figures/": "matplotlib", "tensorboard/": "tensorboard", "figures/map": "sklearn"}
_PACKAGES: Final = {"sklearn": "scikit-learn"}
"""Names that packages are installed by, where they are imported by others."""
_RECORDED: Final = ("report.html", "run.json")
_LOGGED: Final = ("confusion", "confusion_normalized", "mistakes")
"""Files of `figures/` that TensorBoard shows as well."""


class RunResults:
    """Writes `figures/`, `tensorboard/` and `report.html` of a run, with whatever packages are installed.

    A picture that fails is said on one line and lost alone; a disk that is full is an error.

    Args:
        run: directory of the run, which the results are written into.
        title: names of the recipe and the dataset.
        say: function that prints a line.
        logs: opened logs of other systems, by their names.
        drawn: whether files are made at all; the logs of other systems are told of the training either way.
    """

    def __init__(
        self,
        run: RunDirectory,
        title: str,
        say: Callable[[str], None],
        logs: "Mapping[str, ExperimentLog] | None" = None,
        *,
        drawn: bool = True,
    ) -> None:
        self._run = run
        self._title = title
        self._say = say
        self._others = dict(logs or {})
        self._drawn = drawn
        self._missing = {output: package for output, package in _NEEDS.items() if find_spec(package) is None}
        self._log: TensorBoardLog | None = None
        self._drawn_for_log: dict[str, bytes] = {}
        self._augment: Callable[[], Augmented] = lambda: NOT_AUGMENTED
        self._augmented = NOT_AUGMENTED
        if self._missing and drawn:
            packages = [_PACKAGES.get(name, name) for name in self._missing.values()]
            say(f"left out {' and '.join(self._missing)}: {' and '.join(packages)} not installed")
            say(f"to have them: {install_line('train')}")

    def observers(self) -> Sequence[TrainingObserver]:
        """Return who is to watch the training."""
        if self._drawn and "tensorboard/" not in self._missing:
            shielded(self._open_log, "tensorboard/", self._say)
        own: list[tuple[str, TrainingObserver]] = [("tensorboard/", self._log)] if self._log else []
        others = [(f"--log {name}", log) for name, log in self._others.items()]
        return [Shielded(observer, what, self._say) for what, observer in (*own, *others)]

    @property
    def wanted(self) -> bool:
        """Whether `write` has anything to do."""
        return self._drawn or bool(self._others)

    def show_augmented(self, augment: Callable[[], Augmented]) -> None:
        """Have some training images with their random changes shown as well, which `augment` gives."""
        self._augment = augment

    def write(self, outcome: Outcome, seen: ValidationPass, test: "Split", features_of: "FeaturesOf") -> None:
        """Write everything once the training has ended and the weights that were kept have been measured.

        Args:
            outcome: end of the training and its best epoch.
            seen: predictions for the validation split.
            test: the test split, of which the map shows images without their classes.
            features_of: the trained network's features.

        Raises:
            OutputError: a file can't be written.
        """
        if self._drawn:
            self._write_files(outcome, seen, test, features_of)
        files = [path for name in _RECORDED if (path := self._run.path / name).is_file()]
        final = seen.epoch_metrics().to_json()
        for name, log in self._others.items():
            shielded(partial(log.training_ended, final, files), f"--log {name}", self._say)
        self._others.clear()

    def _write_files(self, outcome: Outcome, seen: ValidationPass, test: "Split", features_of: "FeaturesOf") -> None:
        info = self._run.read_info()
        shielded(self._make_augmented, "the picture of augmented images", self._say)
        if "figures/" not in self._missing:
            shielded(_told("drawing the figures", partial(self._write_figures, outcome, seen)), "figures/", self._say)
        if not {"figures/", "figures/map"} & self._missing.keys():
            draw = _told("drawing the map", partial(self._write_map, outcome, seen, test, features_of))
            shielded(draw, "figures/map", self._say)
        if self._log:
            shielded(partial(self._end_log, self._log, outcome, seen, info), "tensorboard/", self._say)
        write_report = _told("writing the report", partial(self._write_report, outcome, seen, info))
        if shielded(write_report, "report.html", self._say):
            self._say(f"report   {self._run.path / 'report.html'}")

    def leave(self) -> None:
        """End the logs of a training that has come to no result; those of one that has are ended already."""
        for name, log in self._others.items():
            shielded(log.training_failed, f"--log {name}", self._say)
        self._others.clear()

    def _make_augmented(self) -> None:
        self._augmented = self._augment()

    def _open_log(self) -> None:
        from torchstone_train.report.tensorboard_log import TensorBoardLog  # noqa: PLC0415 - seldom missing, but optional

        self._log = TensorBoardLog(self._run.path / "tensorboard")

    def _write_figures(self, outcome: Outcome, seen: ValidationPass) -> None:
        from torchstone_train.report.figures import (  # noqa: PLC0415 - loads matplotlib
            draw_for_log,
            save_augmentation,
            save_figures,
        )

        save_figures(self._run.path / "figures", outcome.history, seen, self._title)
        if self._augmented.samples:
            save_augmentation(self._run.path / "figures", self._augmented, self._title)
        if self._log:
            self._drawn_for_log = draw_for_log(seen, self._title)

    def _write_map(self, outcome: Outcome, seen: ValidationPass, test: "Split", features_of: "FeaturesOf") -> None:
        from torchstone_train.report.feature_map import make_feature_map  # noqa: PLC0415 - loads scikit-learn
        from torchstone_train.report.figures import save_map  # noqa: PLC0415 - loads matplotlib

        if seen.split is not None:
            answers = outcome.answers
            found = make_feature_map(features_of, seen.split, test, None if answers is None else answers.features)
            save_map(self._run.path / "figures", seen, found, self._title)

    def _end_log(self, log: "TensorBoardLog", outcome: Outcome, seen: ValidationPass, info: Mapping[str, Any]) -> None:
        files = {name: self._run.path / "figures" / f"{name}.png" for name in _LOGGED}
        figures = {name: file.read_bytes() for name, file in files.items() if file.is_file()}
        figures |= self._drawn_for_log
        log.training_ended(len(outcome.history), figures, settings_of(info), seen.epoch_metrics().to_json())

    def _write_report(self, outcome: Outcome, seen: ValidationPass, info: Mapping[str, Any]) -> None:
        from torchstone_train.report.page import RunReport, render_report  # noqa: PLC0415 - not needed until now

        drawn = self._run.path / "figures" / "map.png"
        feature_map = drawn.read_bytes() if drawn.is_file() else None
        page = render_report(RunReport(self._title, info, outcome.history, seen, feature_map, self._augmented))
        write_atomic(self._run.path / "report.html", page)


def settings_of(info: Mapping[str, Any]) -> dict[str, Any]:
    """Return the hyper-parameters of a run, by what `run.json` says."""
    recipe = {key: value for key, value in info["recipe"].items() if key != "summary"}
    return {**recipe, "seed": info["seed"], "dataset": info["dataset"]["kind"], "device": info["device"]["type"]}


def _told(task: str, work: Callable[[], None]) -> Callable[[], None]:
    """Return work that tells, while it takes its time, what it does."""

    def told() -> None:
        with stage(task):
            work()

    return told

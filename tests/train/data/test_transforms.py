import threading

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torchvision.transforms import v2

from torchstone_runtime.images.input_spec import ColorMode, InputSpec
from torchstone_train.data.seeded_draws import SeededDraws, seed_of_image
from torchstone_train.data.transforms import PictureTransforms
from torchstone_train.recipes.transforms import CROP, TRANSFORMS, parse_transforms

NAMES = [name for name in TRANSFORMS if name != CROP]


def spec_of(color: ColorMode, height: int, width: int) -> InputSpec:
    """Return a specification."""
    channels = 1 if color == "L" else 3
    return InputSpec(color=color, height=height, width=width, mean=(0.5,) * channels, std=(0.5,) * channels)


def noise(color: ColorMode, height: int, width: int, seed: int = 0) -> Image.Image:
    """Return a random picture."""
    shape = (height, width) if color == "L" else (height, width, 3)
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, shape).astype(np.uint8))


@settings(max_examples=60, deadline=None)
@given(
    names=st.lists(st.sampled_from(NAMES), unique=True, max_size=4),
    color=st.sampled_from(["L", "RGB"]),
    height=st.integers(1, 40),
    width=st.integers(1, 40),
    seed=st.integers(0, 2**63 - 1),
)
def test_every_list_gives_the_models_shape_and_follows_from_the_seed(
    names: list[str], color: ColorMode, height: int, width: int, seed: int
) -> None:
    """From a photograph of any size, in gray and in colour; the photograph stays as it was."""
    transforms = PictureTransforms(parse_transforms(",".join([CROP, *names])), spec_of(color, 20, 24))
    picture = noise(color, height, width)
    before = picture.tobytes()
    one, two = transforms(picture, seed), transforms(picture, seed)
    assert (one.size, one.mode) == ((24, 20), color)
    assert one.tobytes() == two.tobytes()
    assert picture.tobytes() == before


@pytest.mark.parametrize(
    ("names", "theirs"),
    [
        (
            "random-resized-crop(0.3),vertical-flip(0.4)",
            [v2.RandomResizedCrop((20, 24), scale=(0.3, 1)), v2.RandomVerticalFlip(0.4)],
        ),
        (
            "random-resized-crop,flip,trivial-augment",
            [v2.RandomResizedCrop((20, 24)), v2.RandomHorizontalFlip(), v2.TrivialAugmentWide()],
        ),
        ("random-resized-crop(0.5),rand-augment", [v2.RandomResizedCrop((20, 24), scale=(0.5, 1)), v2.RandAugment()]),
        ("random-resized-crop,colour(0.2)", [v2.RandomResizedCrop((20, 24)), v2.ColorJitter(0.2, 0.2, 0.2, 0.05)]),
    ],
)
def test_they_are_torchvisions_own(names: str, theirs: list[v2.Transform]) -> None:
    """With the same seed, the very pixels that its classes give by themselves."""
    ours = PictureTransforms(parse_transforms(names), spec_of("RGB", 20, 24))
    picture = noise("RGB", 50, 61)
    for seed in range(12):
        torch.manual_seed(seed)
        expected = v2.Compose(theirs)(picture)
        assert ours(picture, seed).tobytes() == expected.tobytes()


@pytest.mark.parametrize("color", ["L", "RGB"])
def test_each_change_of_trivial_augment_is_torchvisions(color: ColorMode) -> None:
    """300 seeds draw each of the 14 with many strengths."""
    ours = PictureTransforms(parse_transforms("trivial-augment"), spec_of(color, 40, 44))
    picture, theirs = noise(color, 40, 44), v2.TrivialAugmentWide()
    for seed in range(300):
        torch.manual_seed(seed)
        assert ours(picture, seed).tobytes() == theirs(picture).tobytes()


@pytest.mark.parametrize(("height", "width"), [(1, 90), (90, 1), (5, 50), (50, 5), (3, 4), (1, 1)])
def test_crops_of_narrow_pictures_are_torchvisions(height: int, width: int) -> None:
    """Of which no drawn rectangle may fit, so that the centre is taken."""
    ours = PictureTransforms(parse_transforms("random-resized-crop(0.9)"), spec_of("RGB", 20, 24))
    picture, theirs = noise("RGB", height, width), v2.RandomResizedCrop((20, 24), scale=(0.9, 1))
    for seed in range(20):
        torch.manual_seed(seed)
        assert ours(picture, seed).tobytes() == theirs(picture).tobytes()


def test_the_global_generator_is_left_alone() -> None:
    """Dropout draws from it, in another thread."""
    transforms = PictureTransforms(parse_transforms(",".join([CROP, *NAMES])), spec_of("RGB", 20, 24))
    torch.manual_seed(5)
    before = torch.get_rng_state()
    for seed in range(8):
        transforms(noise("RGB", 30, 30), seed)
    assert torch.equal(torch.get_rng_state(), before)


def test_another_threads_numbers_are_its_own() -> None:
    """Two threads that draw at once get what each would get alone."""
    barrier, drawn = threading.Barrier(2), {}

    def draw(seed: int) -> None:
        with SeededDraws(seed):
            found = []
            for _ in range(50):
                barrier.wait(10)
                found.append(float(torch.rand(())))
            drawn[seed] = found

    threads = [threading.Thread(target=draw, args=(seed,)) for seed in (1, 2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for seed, found in drawn.items():
        torch.manual_seed(seed)
        assert found == [float(torch.rand(())) for _ in range(50)]


def test_erase_covers_a_rectangle_of_noise_in_its_share_of_pictures() -> None:
    """And leaves the rest."""
    transforms = PictureTransforms(parse_transforms("erase(0.5)"), spec_of("L", 40, 40))
    black = Image.new("L", (40, 40))
    changed = [np.asarray(transforms(black, seed)) > 0 for seed in range(200)]
    shares = np.array([mask.mean() for mask in changed])
    assert 70 < (shares > 0).sum() < 130
    assert shares.max() <= 0.35
    rows, columns = np.nonzero(changed[int(np.argmax(shares))])
    box = (np.ptp(rows) + 1) * (np.ptp(columns) + 1)
    assert len(rows) > 0.95 * box  # noise may be black


@given(seed=st.integers(0, 2**32 - 1), epoch=st.integers(0, 10**6), index=st.integers(0, 10**8))
def test_seed_of_an_image_differs_by_each_argument(seed: int, epoch: int, index: int) -> None:
    """And is one that PyTorch takes."""
    own = seed_of_image(seed, epoch, index)
    assert 0 <= own < 2**63
    others = [(seed + 1, epoch, index), (seed, epoch + 1, index), (seed, epoch, index + 1), (seed, epoch, index, 1)]
    assert own not in [seed_of_image(*other) for other in others]

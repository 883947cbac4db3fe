"""What Hugging Face's image processors do where their configuration is silent.

The values are those of transformers 5.24 (the classes' attributes), which are the ones of 4.x too.
"""

from typing import Any, Final

_COMMON: Final[dict[str, Any]] = {
    "do_resize": True,
    "do_rescale": True,
    "rescale_factor": 1 / 255,
    "do_normalize": True,
}
_HALF: Final = {"image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5]}
_IMAGENET: Final = {"image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225]}
_CLIP: Final = {
    "image_mean": [0.48145466, 0.4578275, 0.40821073],
    "image_std": [0.26862954, 0.26130258, 0.27577711],
}
_BILINEAR: Final = {"resample": 2}
_BICUBIC: Final = {"resample": 3}


def _stretched(side: int) -> dict[str, Any]:
    return {**_COMMON, "size": {"height": side, "width": side}}


def _cropped(shorter: int, crop: int = 224) -> dict[str, Any]:
    size = {"size": {"shortest_edge": shorter}, "crop_size": {"height": crop, "width": crop}}
    return {**_COMMON, **size, "default_to_square": False, "do_center_crop": True}


DEFAULTS: Final[dict[str, dict[str, Any]]] = {
    "ViT": _stretched(224) | _HALF | _BILINEAR,
    "Pvt": _stretched(224) | _IMAGENET | _BICUBIC,
    "Siglip": _stretched(224) | _HALF | _BICUBIC | {"default_to_square": False},
    "Beit": _stretched(224) | _HALF | _BICUBIC | {"crop_size": {"height": 224, "width": 224}},
    "DeiT": _stretched(256) | _HALF | _BICUBIC | {"do_center_crop": True, "crop_size": {"height": 224, "width": 224}},
    "EfficientNet": _stretched(346)
    | _HALF
    | _BICUBIC
    | {"crop_size": {"height": 289, "width": 289}, "rescale_offset": False, "include_top": True},
    "ConvNext": {**_COMMON, "size": {"shortest_edge": 384}, "default_to_square": False, "crop_pct": 224 / 256}
    | _HALF
    | _BICUBIC,
    "CLIP": _cropped(224) | _CLIP | _BICUBIC,
    "ChineseCLIP": _cropped(224) | _CLIP | _BICUBIC,
    "Bit": _cropped(224) | _CLIP | _BICUBIC,
    "MobileNetV1": _cropped(256) | _HALF | _BILINEAR,
    "MobileNetV2": _cropped(256) | _HALF | _BILINEAR,
    "MobileViT": _cropped(224, 256) | _BICUBIC | {"do_normalize": False, "do_flip_channel_order": True},
    "Levit": _cropped(224) | _IMAGENET | _BICUBIC,
    "PoolFormer": _cropped(224) | _IMAGENET | _BICUBIC | {"crop_pct": 0.9},
}
"""Values by processor, its class name without `ImageProcessor`."""


def class_of(name: str) -> str:
    """Return the key of `DEFAULTS` for a class name: `ViTImageProcessorFast` and `ViTFeatureExtractor` are `ViT`."""
    for ending in ("Fast", "Pil", "ImageProcessor", "FeatureExtractor"):
        name = name.removesuffix(ending)
    known = {key.lower(): key for key in DEFAULTS}
    return known.get(name.lower(), name)

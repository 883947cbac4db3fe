"""The equivalent of `torchstone predict BUNDLE FILE` with PyTorch: as lean as it can be, without torchvision.

Usage: python predict_torch.py BUNDLE FILE
"""

import json
import sys
from pathlib import Path

import numpy as np
import torch
from PIL import Image

bundle = Path(sys.argv[1])
names = json.loads((bundle / "manifest.json").read_text())["classes"]
model = torch.jit.load(str(bundle / "model.torchscript.pt")).eval()  # type: ignore[no-untyped-call]
with Image.open(sys.argv[2]) as image:
    pixels = np.asarray(image.convert("L").resize((28, 28), Image.Resampling.BILINEAR))
with torch.inference_mode():
    probabilities = model(torch.from_numpy(pixels.copy())[None, None])[1][0]
best = int(probabilities.argmax())
print(f"{sys.argv[2]}\t{names[best]} {probabilities[best]:.4f}")

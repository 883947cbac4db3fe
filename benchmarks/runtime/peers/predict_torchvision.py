"""The equivalent of `torchstone predict BUNDLE FILE` as PyTorch's tutorials write it: with torchvision's transforms.

Usage: python predict_torchvision.py BUNDLE FILE
"""

import json
import sys
from pathlib import Path

import torch
from PIL import Image
from torchvision import transforms

bundle = Path(sys.argv[1])
names = json.loads((bundle / "manifest.json").read_text())["classes"]
model = torch.jit.load(str(bundle / "model.torchscript.pt")).eval()  # type: ignore[no-untyped-call]
preprocess = transforms.Compose([transforms.Grayscale(), transforms.Resize((28, 28)), transforms.PILToTensor()])
with Image.open(sys.argv[2]) as image:
    pixels = preprocess(image)
with torch.inference_mode():
    probabilities = model(pixels[None])[1][0]
best = int(probabilities.argmax())
print(f"{sys.argv[2]}\t{names[best]} {probabilities[best]:.4f}")

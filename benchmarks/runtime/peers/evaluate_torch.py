"""The equivalent of `torchstone evaluate` with PyTorch, torchvision and scikit-learn.

Usage: python evaluate_torch.py BUNDLE DATA_DIR OUT loader|tensor

`loader` reads through a DataLoader and per-image transforms, as the tutorials do; `tensor` slices the dataset's own
tensor, the fastest way there is. Both write a JSON and an HTML file.
"""

import json
import sys
from pathlib import Path

import torch
from sklearn.metrics import classification_report, confusion_matrix
from torchvision import transforms
from torchvision.datasets import FashionMNIST

bundle, data_dir, out, way = Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3]), sys.argv[4]
model = torch.jit.load(str(bundle / "model.torchscript.pt")).eval()  # type: ignore[no-untyped-call]
dataset = FashionMNIST(data_dir, train=False, transform=transforms.PILToTensor())
if way == "loader":
    batches = (images for images, _ in torch.utils.data.DataLoader(dataset, batch_size=250))
else:
    batches = iter(dataset.data[:, None].split(250))
with torch.inference_mode():
    predicted = torch.cat([model(images)[0].argmax(dim=1) for images in batches]).numpy()
true, names = dataset.targets.numpy(), dataset.classes
report = classification_report(true, predicted, target_names=names, output_dict=True)
confusion = confusion_matrix(true, predicted).tolist()
out.with_suffix(".json").write_text(json.dumps({"report": report, "confusion_matrix": confusion}))
table = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in confusion)
text = classification_report(true, predicted, target_names=names, digits=4)
out.with_suffix(".html").write_text(f"<pre>{text}</pre><table>{table}</table>")
print(text)

"""`Classifier.stream` over a folder, for comparison: python -m benchmarks.scale.stream BUNDLE FOLDER."""

import sys
from pathlib import Path

from torchstone_runtime.inference.classifier import Classifier

if __name__ == "__main__":
    with Classifier.load(sys.argv[1]) as classifier:
        files = [str(path) for path in sorted(Path(sys.argv[2]).rglob("*.jpg"))]
        print(sum(len(part) for part in classifier.stream(files)), file=sys.stderr)

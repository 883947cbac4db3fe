"""What each command does, in the first sentence of its help: so that `torchstone --help` imports none of them.

A test holds them equal to the commands' own.
"""

from typing import Final

FIRST_SENTENCES: Final = {
    "quickstart": "Train on the embedded digits, export, verify, and evaluate without PyTorch: everything in a minute.",
    "data": "Check the labelled pictures of DATASET: unreadable, duplicated, in both train and test, mislabelled.",
    "train": "Train RECIPE (see `torchstone recipes`) and write a run directory.",
    "recipes": (
        "List the recipes and cascades with their measured results, or with --fields what can be changed in a recipe."
    ),
    "download": "Download DATASET (fashion-mnist or mnist) with torchvision, which checks its checksums.",
    "export": (
        "Export RUN to ONNX and TorchScript, prove both on the whole validation and test splits, and write a bundle."
    ),
    "adopt": (
        "Wrap MODEL, an ONNX file made elsewhere, into a bundle with preprocessing, golden samples and certificate."
    ),
    "predict": (
        "Classify images with BUNDLE: files, folders, patterns, or - for stdin (one path per line, or one image)."
    ),
    "score": "Score every picture of INPUTS with BUNDLE exactly once, a part of the output for each part of the input.",
    "evaluate": "Measure BUNDLE on labelled data: accuracy, precision, recall, F1, confusion matrix, calibration.",
    "compare": "Compare A with B on the same labelled data: bundles, ONNX files, or files of 'evaluate --predictions'.",
    "robustness": (
        "Measure BUNDLE on labelled data under corruptions: noise, blur, geometry, light, at severities 1 to 5."
    ),
    "bench": "Measure start-up time, latency, throughput and memory of BUNDLE on this machine.",
    "verify": "Check BUNDLE: size and SHA-256 of every file, and the golden samples on this machine.",
    "inspect": "Show what BUNDLE contains: classes, input, files, origin, measured results, certificate.",
    "serve": "Serve each BUNDLE over HTTP: PATH, NAME=PATH or NAME@VERSION=PATH.",
    "web": "Write a static site that runs the model of BUNDLE in the browser, with onnxruntime-web.",
    "package": "Write BUNDLE in the form that Triton, KServe, a container or AWS Lambda needs.",
    "clients": "Write short clients of `torchstone serve` for BUNDLE: curl, Python, JavaScript, Java, C#, Go and C++.",
    "push": "Push BUNDLE, in one commit, to a repository of the Hugging Face Hub.",
    "health": "Ask the server at URL whether it is ready: exit code 0 if so, 1 if not or if it can't be reached.",
    "doctor": "Check this installation: packages, providers, libraries, processor, limits.",
    "diagnose": "Find the mistake in your own preprocessing, from its tensor of a golden image of BUNDLE.",
}

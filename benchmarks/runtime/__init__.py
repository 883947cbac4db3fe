"""Speed and memory of the runtime, against PyTorch and OpenVINO: docs/reference/benchmarks.md."""

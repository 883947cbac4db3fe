"""The training loop and its parts: optimisation, averages, distillation, stopping, progress."""

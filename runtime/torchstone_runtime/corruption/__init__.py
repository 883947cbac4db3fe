"""Named corruptions of pictures, made here from a seed: what a model meets when its pictures are not those of the lab.

The families are those of ImageNet-C (D. Hendrycks and T. Dietterich, arXiv 1903.12261) and MNIST-C (N. Mu and
J. Gilmer, arXiv 1906.02337): noise, blur, geometry, light. The pictures are not theirs, nor are the constants: those
here are for small pictures, and every size scales with the picture's side. docs/how-to/robustness.md shows them.
"""

from torchstone_runtime.corruption.catalog import CORRUPTIONS, SEVERITIES, Corruption, corrupt

__all__ = ["CORRUPTIONS", "SEVERITIES", "Corruption", "corrupt"]

"""What a preprocessing written elsewhere does wrong, told from its tensor of one golden image.

Every known mistake is a transform of the right pixels. Their combinations are tried; what is left, gain and offset of
each channel, is fitted by least squares; the simplest combination that leaves nothing over is the answer.
"""

from torchstone_runtime.diagnosis.diagnose import diagnose_preprocessing
from torchstone_runtime.diagnosis.result import Diagnosis, Mistake
from torchstone_runtime.diagnosis.tensor_file import read_tensor

__all__ = ["Diagnosis", "Mistake", "diagnose_preprocessing", "read_tensor"]

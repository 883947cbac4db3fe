"""What a test needs of the processor that it runs on."""

from typing import Final

import pytest

from torchstone_runtime.system.cpu import INT8_FEATURES, cpu_features

HAS_EXACT_INT8: Final = bool(cpu_features().intersection(INT8_FEATURES))
"""Whether sums of 8-bit products are exact here: elsewhere int8 variants of 8-bit weights give way to fp32."""
needs_exact_int8: Final = pytest.mark.skipif(not HAS_EXACT_INT8, reason="this processor has no exact sums in int8")
lacks_exact_int8: Final = pytest.mark.skipif(HAS_EXACT_INT8, reason="this processor has exact sums in int8")

"""Statistics of classifiers with NumPy alone: metrics, intervals, calibration, paired tests, gates."""

"""Where a training runs: device, precision, processes, memory."""

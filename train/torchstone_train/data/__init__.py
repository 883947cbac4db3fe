"""Training data: download, splits, batches, augmentation."""

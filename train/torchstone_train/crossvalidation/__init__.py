"""Cross-validation: a network for each fold of the training images, and what all of them say of images not seen."""

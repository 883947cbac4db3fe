"""What others state of a model's preprocessing, read from where it stands."""

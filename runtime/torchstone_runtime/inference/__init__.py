"""From a model file to predictions: sessions, providers, engines and the classifier."""

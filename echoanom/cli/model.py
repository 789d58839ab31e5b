"""Commands that train and use a model: train, score."""

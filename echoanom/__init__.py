"""Find the moments in ocean observatory records that do not look like the others.

Daily sensor tables are converted to a dataset of shards, windows are streamed out of
it, an autoencoder learns what is usual, and what it cannot reproduce is scored,
gathered into events and drawn.

The names below are loaded when they are first used, so that importing the package
costs next to nothing; TensorFlow is imported by what needs it. `echoanom.errors` holds
every error.
"""

import lazy_loader

__version__ = "0.1.0"

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

"""The version, read by the build and sent with every registration."""

__version__ = "0.1.0"

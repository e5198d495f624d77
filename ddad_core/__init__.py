"""The science of DDAD Review: pixels in, evidence out."""

__version__ = "0.1.0"

"""Readers of the Allen Institute's public recordings from mouse visual cortex, without AllenSDK."""

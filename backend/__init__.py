"""Keytrack: a Label Studio ML backend that turns a few keyframe prompts into whole video tracks."""

__version__ = "0.1.0"

"""Masks on the frames so far in, masks on the next frame out."""

"""Tracks: from prompts and a video to masks on every frame, and from dense boxes to few keyframes."""

"""A frame and prompts in, masks out: the SAM family."""

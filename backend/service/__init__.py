"""The service: HTTP in, jobs on one accelerator, and what survives a restart."""

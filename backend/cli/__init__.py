"""The command line: one module a command.

Each has ``HELP`` (what the command does), ``configure(parser)`` (its options) and ``run(args)`` (the exit status).
"""

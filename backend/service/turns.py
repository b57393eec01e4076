"""Whose turn it is: a fair share for everybody, one piece of work after the other.

If each of those who wait had an equal share of the machine at every moment, work would end in a certain order. The jobs
are done in that order, one at a time, so that hardly any ends later than it would then, and most end earlier: twenty
presses that take turns are all done at the end, twenty that follow one another on average after half of the time.
Somebody with many jobs has one share for all of them, and what is small soon ends.

This is fair queueing with whole jobs as packets (Demers, Keshav and Shenker, SIGCOMM 1989); what it does to the times
is in Friedman and Henderson, Fairness and Efficiency in Web Server Protocols, SIGMETRICS 2003.
"""

from __future__ import annotations

from collections.abc import Hashable

UNKNOWN_STEPS = 50
"""How long a job is taken to be that does not say it."""


class Ticket:
    """A job's place among the others.

    Attributes:
        owner: whose share it takes.
        steps: how many it will need, about; to be set before its first turn.
        done: how many it had.
        due: when it would end, in the time of :class:`Turns`; None before it is first compared with others.
    """

    def __init__(self, owner: Hashable) -> None:
        self.owner = owner
        self.steps = UNKNOWN_STEPS
        self.done = 0
        self.due: float | None = None


class Turns:
    """The time of a machine that is shared equally; it passes with each step that is done. Not for several threads."""

    def __init__(self) -> None:
        self._now = 0.0
        self._until: dict[Hashable, float] = {}  # when each owner would have nothing left to do

    def due(self, ticket: Ticket) -> float:
        """When a job would end; the first is to be done first."""
        return self._extend(ticket, ticket.steps) if ticket.due is None else ticket.due

    def step(self, ticket: Ticket) -> None:
        """A step of a job is about to be done."""
        self.due(ticket)
        if ticket.done >= ticket.steps:  # it takes longer than it said: as much again, behind those who wait by now
            self._extend(ticket, ticket.steps)
            ticket.steps *= 2
        ticket.done += 1
        self._now += 1 / max(len(self._until), 1)
        self._until = {owner: until for owner, until in self._until.items() if until > self._now}

    def end(self, ticket: Ticket) -> None:
        """A job is at its end; what it did not need of its owner's share is the owner's again."""
        if ticket.due is not None and ticket.owner in self._until:
            self._until[ticket.owner] -= max(ticket.steps - ticket.done, 0)

    def _extend(self, ticket: Ticket, steps: int) -> float:
        ticket.due = max(self._until.get(ticket.owner, 0.0), self._now) + steps
        self._until[ticket.owner] = ticket.due
        return ticket.due

"""The stages of a press, as a benchmark tells them apart."""

from __future__ import annotations

from collections.abc import Mapping

from backend.evaluation.stopwatch import REST

DECODE = "decode"
WAIT = "wait"
CUTS = "cuts"
ENCODE = "encode"
PROMPTS = "prompts"
PROPAGATE = "propagate"
REFINE = "refine"
MASKS = "masks"
ASSOCIATE = "associate"
THIN = "thin"
SERIALISE = "serialise"

STAGES: Mapping[str, str] = {
    DECODE: "decode, where the tracker waits",
    WAIT: "wait for frames read ahead",
    CUTS: "look for cuts",
    ENCODE: "encode",
    PROMPTS: "segment the prompts",
    PROPAGATE: "propagate",
    REFINE: "refine",
    MASKS: "decode masks",
    ASSOCIATE: "associate",
    THIN: "thin",
    SERIALISE: "serialise",
    REST: "rest",
}
"""What each is called in tables, in the order of the work. They exclude one another."""

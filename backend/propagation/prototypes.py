"""Prototypes of frames: the tokens that were attended to most, with values drawn from all tokens of these frames
(Cheng and Schwing, ECCV 2022, section 3.3, "potentiation").
"""

from __future__ import annotations

import torch

from backend.propagation.affinity import AnisotropicKeys
from backend.propagation.long_term import usage_of
from backend.propagation.memory import Records, Remembered


def summarise(leaving: Records[AnisotropicKeys], count: int) -> Records[AnisotropicKeys]:
    """At most ``count`` prototypes of frames; one record for each set of objects that some of the frames know alike.

    A prototype has values of the objects that its own frame knows, drawn from all frames that know them.
    """
    usage = torch.cat([usage_of(memory) for memory in leaving])
    chosen = usage.topk(min(count, len(usage))).indices
    sizes = [len(memory.keys) for memory in leaving]
    source = torch.repeat_interleave(torch.tensor(sizes, device=chosen.device))
    every = AnisotropicKeys.of(
        torch.cat([memory.keys.key for memory in leaving]),
        torch.cat([memory.keys.shrinkage for memory in leaving]),
        torch.cat([memory.keys.selection for memory in leaving]),
    )
    similarity = every.take(chosen).queries() @ every.rows.T
    shrinkage = torch.softmax(similarity, 1) @ every.shrinkage

    known_to: dict[frozenset[str], list[int]] = {}
    for place, memory in enumerate(leaving):
        known_to.setdefault(frozenset(memory.values), []).append(place)
    records: Records[AnisotropicKeys] = []
    for names, places in known_to.items():
        mine = torch.isin(source[chosen], torch.tensor(places, device=source.device))
        if not bool(mine.any()):
            continue
        values = {}
        for name in sorted(names):
            knowing = [place for place, memory in enumerate(leaving) if name in memory.values]
            said = torch.cat([leaving[place].values[name] for place in knowing])
            known = torch.isin(source, torch.tensor(knowing, device=source.device))
            affinity = torch.softmax(similarity[mine][:, known], 1)
            values[name] = (affinity @ said.float()).to(said.dtype)
        taken = chosen[mine]
        keys = AnisotropicKeys.of(every.key[taken], shrinkage[mine], every.selection[taken])
        records.append(Remembered(leaving[-1].frame, keys, values, False))
    return records

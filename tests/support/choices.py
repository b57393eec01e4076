"""What settings come to, without asking the machine."""

from __future__ import annotations

from backend.service.engine import Choice

LITE = Choice("lite", "cpu", "mobile_sam", "sam_tokens")
FULL = Choice("full", "cuda", "sam_vit_h", "xmem_s012")

"""Bytes by which a target reaches more of the code than by those that are tried anyway, or once found a fault.

Each is one of the inputs that atheris has kept, the fewest that reach all those lines.
"""

from __future__ import annotations

from types import MappingProxyType

SEEDS: MappingProxyType[str, tuple[str, ...]] = MappingProxyType(
    {
        "regions": (
            "22102222222222222222222222222222222222622222222202252222222422222001ffff1fffffffffffffffffffffffffff"
            "0000000000ff1fffffff1616ff8686ffffffffff003943",
            "5d39343d1dc2c22c3d3cffff3d",
            "e89282",
            "3a6626655f13",
            "5d3d3d415d3d5d2a",
            "5d34393d2c3d3cffff3d3f",
            "5d3d222222322222ff010000000000000100000000002222222222000000001f3d3a",
        ),
        "results": (
            "da2c00c42c",
            "3af4da8a0ab2b27a",
            "da8a",
            "da7ed825",
            "da010e",
            "da9a0e",
            "da9a59",
            "010021ff",
            "27f4bebe5ddb4e020c8f0d0dda4e5d",
        ),
        "marks": (
            "3a25202aff22dd",
            "f73117ff41ffffff690000bf0a1d1d5bffff240a4931ff313a1701",
            "1d2dfd",
            "082e9d",
            "bc985d06fdfdfdfdfdfdfdfd",
            "f73117ffffffffffffff400a1d1db50a240a491d3d400a1d3b1db50a4931ff110a",
            "3a01323232",
            "bc981800ab98ffff9898986d00000000000098776d6d216d6d3f980a",
            "98989400296d924e4e494e4e4e4e4e4e4e4e4e4e4e4e4a4e4e4effffffff4e4e4e01004e4e4e0e017a2f4e4e4e4e4e92326d6d",
            "01a62a0100110e7a010e017a7f00",
        ),
        "tasks": (
            "0acbcbcbcb0001cbcb3434ff",
            "0acb4646460000000046ffff000000004646464646c9cbcbcb",
            "0acbcbefebffcbcbcbe5cb2dcb",
            "0acb5406060626cb54",
            "0acbcb2400218383fe2b001e",
            "8a818181cb008101857a811e1e",
            "ff0000000000cbff00000000ffff",
            "0a000023cb00cbcb010001002db625",
            "0acbcbcbcbcbcbcbcbffffcbffffcbcb8bcb2ecbcb012d3bc9cbcbcb",
            "ffdffffbffffff86ffff01000092000092929292929292000000929292929292",
            "0acbcbcbcbcb910aa84a4a4a4a4affe9ffb4b4cbb4b4cb2db4b440b40100b4b4b4b4b4a4b4b4cbcbcb0aa84acb4b0000cbcbcbcb",
            "0acbcbcbcbcb333834cbcbcbcb2dcbcb3dcbcbcbffffffffffffffffffffcbcbcb010001cb01000100cb0aebcbcb00000000"
            "800000cb",
        ),
        "bodies": ("64fd3d0a6464",),
        "contexts": (
            "f6cdffff",
            "f62edcdcdca1",
            "f6d181",
            "f6f631",
        ),
        "configs": (
            "ffffff0000000000000805ff00ffff00a25ea2a2",
            "fd000000003e0006fe",
            "4e4e00000f4240",
            "4afddf46df4604f7",
            "ffdbdbdbdbdbdbdbdbfbdbdbdbdb",
            "00ffff464646d44646464646464646464646ca4646464646464646464646464646000008",
            "4e4d55ceff",
            "02f504090001",
            "0000a400000040",
            "ffffff0000000500000800ff002fa25ea2a2a2",
            "ff00000000000001dedb0ddbdb0941420f00ffff0000ff2446",
        ),
        "cuts": ("391c",),
        "prompt_files": (
            "0ad66e6e6e6ed6d632270000c6d6",
            "016f7eda",
            "1d130117",
            "da132a0100ff",
            "0a0d0d0d0d0d0d150d030d0d0d0d0d0d0d0dd6",
            "0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d",
        ),
        "detection_files": (
            "487e0848",
            "7b010001fe",
            "12dd2e9ddadddddd2adddd2e",
            "34044014",
            "00ff0100ffff",
            "46000202020202",
            "000affff6d6d6da72d00",
            "020202020203000007ff",
            "f1ffff2b00001000080eff2b",
            "12dddddd2a4c4c4c4c4c4c4cdd0a",
            "014a4a4a4a4a4a4ac84aa8ff4a4a4a",
            "000afffffffffdffffe9ffffffffe9fffffffbffff",
            "5514141414141414141414141400001614141414141414",
            "000afffffffffeffffa8575757575757575757575757575757576d6d6d6d6d6d6d6d6d6d6d57575757",
            "000affffffffffffffa8ffffff2c2c2c2c2c2c2c2c2c2c2c2c2c2cfffffffff9ffffffffffffffffffa2ffffffffffffffff"
            "ffffffffffffffffffff01ffffffffffffffff",
        ),
        "videos": (
            "ffb0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0"
            "b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b05bffffffffe8",
        ),
    }
)
"""In hexadecimal digits, by the target's name."""

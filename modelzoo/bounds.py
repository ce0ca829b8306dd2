"""The bounds of all that a config may hold, and of what its texts may do; `SECURITY.md` says them to its readers.

Plain values, formulas, `forward` and `fill` texts share them.
"""

from typing import Final

# a file, and what its references make of it
FILE: Final = 2**20
DEPTH: Final = 100
VALUES: Final = 200_000
REFERENCES: Final = 20_000
CHARACTERS: Final = 8 * 2**20

# a value
INTEGER: Final = 2**63
ITEMS: Final = 10_000
NAME: Final = 64
ARGS: Final = 1_000
DEFINITIONS: Final = 1_000
LIBRARIES: Final = 20

# a text that is code
TEXT: Final = 40_000
BRACKETS: Final = 50
NESTING: Final = 100
LOOPS: Final = 10
STEPS: Final = 10_000
EXPONENT: Final = 64
BITS: Final = 4_096
OPERATIONS: Final = 5_000_000

# a model
NODES: Final = 100_000
BLOCKS: Final = 100
REPEAT: Final = 100_000
DIMENSIONS: Final = 64
ELEMENTS: Final = 2**48
WINDOW: Final = 2**24
STRIDE: Final = 2**12
LAYERS: Final = 1_000
BRANCHES: Final = 64

# what is told
PROBLEMS: Final = 200
ALIKE: Final = 2_000

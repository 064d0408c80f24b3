"""Letters of 5 x 7 dots, drawn here as they look: the video wheel brings no text renderer."""

from functools import lru_cache

COLUMNS, ROWS = 5, 7
ADVANCE = COLUMNS + 1  # an empty column stands between two letters

_SHEETS = {
    "0123456789:.-": (
        " ###    #    ###  #####    #  #####   ##  #####  ###   ###                   ",
        "#   #  ##   #   #    #    ##  #      #        # #   # #   #  ##              ",
        "#   #   #       #   #    # #  ####  #        #  #   # #   #  ##              ",
        "#   #   #      #     #  #  #      # ####    #    ###   ####             #####",
        "#   #   #     #       # #####     # #   #  #    #   #     #  ##              ",
        "#   #   #    #    #   #    #  #   # #   #  #    #   #    #   ##    ##        ",
        " ###   ###  #####  ###     #   ###   ###   #     ###   ##          ##        ",
    ),
    "ABCDEFGHIJKLM": (
        " ###  ####   ###  ###   ##### #####  ###  #   #  ###    ### #   # #     #   #",
        "#   # #   # #   # #  #  #     #     #   # #   #   #      #  #  #  #     ## ##",
        "#   # #   # #     #   # #     #     #     #   #   #      #  # #   #     # # #",
        "#   # ####  #     #   # ####  ####  # ### #####   #      #  ##    #     # # #",
        "##### #   # #     #   # #     #     #   # #   #   #      #  # #   #     #   #",
        "#   # #   # #   # #  #  #     #     #   # #   #   #   #  #  #  #  #     #   #",
        "#   # ####   ###  ###   ##### #      #### #   #  ###   ##   #   # ##### #   #",
    ),
    "NOPQRSTUVWXYZ": (
        "#   #  ###  ####   ###  ####   #### ##### #   # #   # #   # #   # #   # #####",
        "#   # #   # #   # #   # #   # #       #   #   # #   # #   # #   # #   #     #",
        "##  # #   # #   # #   # #   # #       #   #   # #   # #   #  # #  #   #    # ",
        "# # # #   # ####  #   # ####   ###    #   #   # #   # # # #   #    # #    #  ",
        "#  ## #   # #     # # # # #       #   #   #   # #   # # # #  # #    #    #   ",
        "#   # #   # #     #  #  #  #      #   #   #   #  # #  # # # #   #   #   #    ",
        "#   #  ###  #      ## # #   # ####    #    ###    #    # #  #   #   #   #####",
    ),
}


@lru_cache
def glyph(letter: str) -> tuple[str, ...]:
    """The seven rows of a letter, five signs each: `#` for a dot, a blank for none.

    Small letters look like capitals; a letter that is not in the sheets is an empty field.
    """
    for letters, rows in _SHEETS.items():
        if (position := letters.find(letter.upper())) >= 0:
            left = position * ADVANCE
            return tuple(row[left : left + COLUMNS] for row in rows)
    return (" " * COLUMNS,) * ROWS

"""What a terminal showed (stdin, with its escape sequences) as an SVG (stdout)."""

import io
import re
import sys

from rich.console import Console
from rich.terminal_theme import TerminalTheme
from rich.text import Text

THEME = TerminalTheme(
    (22, 27, 34),
    (216, 222, 233),
    [(59, 66, 82), (224, 108, 117), (152, 195, 121), (229, 192, 123), (97, 175, 239), (198, 120, 221), (86, 182, 194), (216, 222, 233)],
    [(110, 118, 135), (224, 108, 117), (152, 195, 121), (229, 192, 123), (97, 175, 239), (198, 120, 221), (86, 182, 194), (255, 255, 255)],
)
# The prompt that waits below is no part of it.
text = re.sub(r"\n\S*\$\s*$", "", sys.stdin.read().rstrip())
console = Console(record=True, width=100, file=io.StringIO(), force_terminal=True, color_system="truecolor", legacy_windows=False)
console.print(Text.from_ansi(text), soft_wrap=True)
# One id for both pictures of a kind: made again, nothing but what changed differs.
print(console.export_svg(title=sys.argv[1], theme=THEME, unique_id="pvekube"))

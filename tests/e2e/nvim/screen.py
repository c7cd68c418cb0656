"""The screen as a user sees it, kept from Neovim's redraw events: floating windows and virtual text
included, which screenstring() does not show."""


class Screen:
    def __init__(self, width, height):
        self._resize(width, height)

    def _resize(self, width, height):
        self._rows = [[" "] * width for _ in range(height)]

    def apply(self, events):
        for name, *calls in events:
            handler = getattr(self, "_on_" + name, None)
            if handler:
                for arguments in calls:
                    handler(*arguments)

    def _on_grid_resize(self, _grid, width, height):
        self._resize(width, height)

    def _on_grid_clear(self, _grid):
        self._resize(len(self._rows[0]), len(self._rows))

    def _on_grid_line(self, _grid, row, column, cells, *_rest):
        for cell in cells:
            for _ in range(cell[2] if len(cell) > 2 else 1):
                self._rows[row][column] = cell[0]  # "" is the right half of a wide character
                column += 1

    def _on_grid_scroll(self, _grid, top, bottom, left, right, lines, _columns):
        rows = range(top, bottom - lines) if lines > 0 else range(bottom - 1, top - lines - 1, -1)
        for row in rows:
            self._rows[row][left:right] = self._rows[row + lines][left:right]

    def text(self):
        return "\n".join("".join(row).rstrip() for row in self._rows).rstrip()

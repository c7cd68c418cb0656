"""The screen as a user sees it, kept from Neovim's redraw events: floating windows and virtual text
included, which screenstring() does not show."""


class Screen:
    def __init__(self, width, height):
        self.cursor = (0, 0)  # row, column
        self.attributes = {0: {}}  # id -> foreground, background, bold, italic, reverse, …
        self.default_colours = (0xFFFFFF, 0x000000)
        self._resize(width, height)

    def _resize(self, width, height):
        self._rows = [[(" ", 0)] * width for _ in range(height)]

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
        attribute = 0
        for cell in cells:
            attribute = cell[1] if len(cell) > 1 else attribute
            for _ in range(cell[2] if len(cell) > 2 else 1):
                self._rows[row][column] = (cell[0], attribute)  # "" is the right half of a wide character
                column += 1

    def _on_grid_scroll(self, _grid, top, bottom, left, right, lines, _columns):
        rows = range(top, bottom - lines) if lines > 0 else range(bottom - 1, top - lines - 1, -1)
        for row in rows:
            self._rows[row][left:right] = self._rows[row + lines][left:right]

    def _on_grid_cursor_goto(self, _grid, row, column):
        self.cursor = (row, column)

    def _on_hl_attr_define(self, number, rgb, *_rest):
        self.attributes[number] = rgb

    def _on_default_colors_set(self, foreground, background, *_rest):
        self.default_colours = (foreground, background)

    def text(self):
        return "\n".join("".join(cell[0] for cell in row).rstrip() for row in self._rows).rstrip()

    def rows(self):
        """Each row as runs of one look: (column, text, foreground, background, bold, italic), colours as numbers."""
        return [self._runs(row) for row in self._rows]

    def _runs(self, row):
        runs = []
        for column, (text, number) in enumerate(row):
            look = self._look(number)
            if runs and runs[-1][2:] == look:
                runs[-1] = (runs[-1][0], runs[-1][1] + text, *look)
            else:
                runs.append((column, text, *look))
        return tuple(runs)

    def _look(self, number):
        attribute = self.attributes.get(number, {})
        foreground = attribute.get("foreground", self.default_colours[0])
        background = attribute.get("background", self.default_colours[1])
        if attribute.get("reverse"):
            foreground, background = background, foreground
        return foreground, background, bool(attribute.get("bold")), bool(attribute.get("italic"))

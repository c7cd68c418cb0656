"""An animated SVG of a screen over time. It has its own background, so that it reads on a light page as on a dark one; no
script, no font and no other file is needed. A row is drawn once for as long as it stays the same, which keeps it small."""

from xml.sax.saxutils import escape

CELL_WIDTH, CELL_HEIGHT, FONT_SIZE, MARGIN = 8.4, 18, 14, 12


def colour(number):
    return f"#{number:06x}"


class Animation:
    def __init__(self, width, height, background, title):
        self.width, self.height, self.background, self.title = width, height, background, title
        self.frames = []  # (seconds, rows, cursor)

    def add(self, seconds, rows, cursor):
        if self.frames and self.frames[-1][1:] == (rows, cursor):
            return
        self.frames.append((seconds, rows, cursor))

    def _spans(self, pick, end):
        """(start, end, value) for each time that what `pick` takes of a frame stays the same."""
        spans = []
        for seconds, rows, cursor in self.frames:
            value = pick(rows, cursor)
            if not spans or spans[-1][2] != value:
                if spans:
                    spans[-1][1] = seconds
                spans.append([seconds, end, value])
        return spans

    def _row(self, row, runs):
        parts = []
        y = MARGIN + row * CELL_HEIGHT
        for column, text, foreground, background, bold, italic in runs:
            x, width = MARGIN + column * CELL_WIDTH, len(text) * CELL_WIDTH
            if background != self.background:
                parts.append(f'<rect x="{x:.1f}" y="{y}" width="{width:.1f}" height="{CELL_HEIGHT}" '
                             f'fill="{colour(background)}"/>')
            stripped = text.strip()
            if not stripped:
                continue
            x += (len(text) - len(text.lstrip())) * CELL_WIDTH
            look = (' font-weight="bold"' if bold else "") + (' font-style="italic"' if italic else "")
            parts.append(f'<text x="{x:.1f}" y="{y + 13}" textLength="{len(stripped) * CELL_WIDTH:.1f}" '
                         f'fill="{colour(foreground)}"{look}>{escape(stripped)}</text>')
        return "".join(parts)

    @staticmethod
    def _cursor(position):
        row, column = position
        return (f'<rect x="{MARGIN + column * CELL_WIDTH:.1f}" y="{MARGIN + row * CELL_HEIGHT}" width="{CELL_WIDTH}" '
                f'height="{CELL_HEIGHT}" fill="#ffffff" fill-opacity=".45"/>')

    def svg(self, seconds):
        """Repeats after `seconds`."""
        names, styles, parts = {}, [], []
        def show(start, end, drawing):
            if not drawing:
                return
            span = (round(100 * start / seconds, 2), round(100 * end / seconds, 2))
            if span == (0, 100):
                parts.append(f"<g>{drawing}</g>")
                return
            if span not in names:
                names[span] = f"f{len(names)}"
                first = "0%{opacity:0}" if span[0] > 0 else ""
                last = f"{span[1]:g}%{{opacity:0}}" if span[1] < 100 else ""
                styles.append(f"@keyframes {names[span]}{{{first}{span[0]:g}%{{opacity:1}}{last}}}"
                              f".{names[span]}{{animation-name:{names[span]}}}")
            parts.append(f'<g class="f {names[span]}">{drawing}</g>')
        for row in range(self.height):
            for start, end, runs in self._spans(lambda rows, _, row=row: rows[row], seconds):
                show(start, end, self._row(row, runs))
        for start, end, position in self._spans(lambda _, cursor: cursor, seconds):
            show(start, end, self._cursor(position))
        width = 2 * MARGIN + self.width * CELL_WIDTH
        height = 2 * MARGIN + self.height * CELL_HEIGHT
        return (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height}" width="{width:.0f}" '
                f'height="{height}" role="img"><title>{escape(self.title)}</title>'
                f'<style>text{{font:{FONT_SIZE}px ui-monospace,Menlo,Consolas,"DejaVu Sans Mono",monospace;white-space:pre}}'
                f'.f{{opacity:0;animation:{seconds:g}s step-end infinite}}{"".join(styles)}</style>'
                f'<rect width="100%" height="100%" rx="8" fill="{colour(self.background)}"/>{"".join(parts)}</svg>\n')

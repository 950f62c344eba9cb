"""A table of results that a notebook shows as HTML and a reader copies as Markdown, LaTeX or CSV."""

import csv
import html
import io
from dataclasses import dataclass

LONG = 30  # characters of a block's name
NOTHING = "–"  # a value that the run was not asked for
LATEX = {
    "&": r"\&", "%": r"\%", "_": r"\_", "#": r"\#", "–": "--",
    "±": r"$\pm$", "−": "$-$", "∝": r"$\propto$", "⁴": "$^4$", "²": "$^2$",
}  # fmt: skip


@dataclass(frozen=True)
class Table:
    """Cells of text under a caption; `blocks` are groups of rows, each led by its name in the first column."""

    caption: str
    columns: tuple[str, ...]
    blocks: tuple[tuple[str, tuple[tuple[str, ...], ...]], ...]  # (name of the block, rows without it)
    notes: tuple[str, ...] = ()

    @property
    def rows(self) -> list[tuple[str, ...]]:
        """All rows, each with the name of its block first."""
        return [(name, *row) for name, rows in self.blocks for row in rows]

    def markdown(self) -> str:
        """GitHub's pipe table, with the caption above and the notes below."""
        lines = [self.columns, tuple("---" for _ in self.columns), *self.rows]
        body = "\n".join("| " + " | ".join(line) + " |" for line in lines)
        return "\n\n".join([f"**{self.caption}**", body, *self.notes]) + "\n"

    def csv(self) -> str:
        """Comma-separated values: the columns' names, then one line per row."""
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows([self.columns, *self.rows])
        return text.getvalue()

    def latex(self) -> str:
        """A booktabs `tabular`, a rule between blocks."""
        lines = [" & ".join(map(_latex, self.columns)) + r" \\"]
        for name, rows in self.blocks:
            lines.append(r"\midrule")
            lines += [" & ".join(map(_latex, (name if i == 0 else "", *row))) + r" \\" for i, row in enumerate(rows)]
        alignment = "l" * 2 + "c" * (len(self.columns) - 2)
        begin, end = rf"\begin{{tabular}}{{{alignment}}}", r"\end{tabular}"
        return "\n".join([begin, r"\toprule", *lines, r"\bottomrule", end, ""])

    def _repr_markdown_(self) -> str:
        return self.markdown()

    def _repr_html_(self) -> str:
        across = any(len(name) > LONG for name, _ in self.blocks)
        columns = self.columns[1:] if across else self.columns
        head = "".join(f'<th scope="col">{html.escape(c)}</th>' if c else "<td></td>" for c in columns)
        lead = _html_across if across else _html_beside
        bodies = "".join(f"<tbody>{lead(html.escape(name), rows)}</tbody>" for name, rows in self.blocks)
        notes = "".join(f"<p>{html.escape(note)}</p>" for note in self.notes)
        caption = f"<caption>{html.escape(self.caption)}</caption>"
        return f'<table class="table ddoq-table">{caption}<thead><tr>{head}</tr></thead>{bodies}</table>{notes}'


def _html_beside(name: str, rows: tuple[tuple[str, ...], ...]) -> str:
    """The block's name in a column of its own."""
    lead = f'<th scope="rowgroup" rowspan="{len(rows)}">{name}</th>'
    return "".join(f"<tr>{lead if i == 0 else ''}{_html_cells(row)}</tr>" for i, row in enumerate(rows))


def _html_across(name: str, rows: tuple[tuple[str, ...], ...]) -> str:
    """The block's name in a row above its rows, where a column would be too narrow."""
    lead = f'<tr><th scope="rowgroup" colspan="{len(rows[0])}">{name}</th></tr>'
    return lead + "".join(f"<tr>{_html_cells(row)}</tr>" for row in rows)


def _html_cells(row: tuple[str, ...]) -> str:
    return "".join(map(_html_cell, row))


def _html_cell(text: str) -> str:
    """A number and its interval stand on one line, words after them on the next."""
    kind = ' class="number"' if text[:1].isdigit() or text[:1] in ("+", "−") else ""
    return f"<td{kind}>{html.escape(text).replace('], ', '],<br>')}</td>"


def _latex(text: str) -> str:
    return "".join(LATEX.get(character, character) for character in text)

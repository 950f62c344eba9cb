"""A table of results: a notebook shows it as HTML, and you can copy it as Markdown, LaTeX or CSV."""

import csv
import html
import io
import itertools
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

NOTHING = "–"  # for a value that was not part of the run
NUMBER = re.compile(r"[+−]?\d\S*( \S+)?")  # with its unit
INTERVAL = re.compile(r"\[[^\]]*\]|± \S+")
MINUS = re.compile(r"(?<![\w.])-(?=[\d.in])")  # the sign of a number, not of an exponent
LATEX = str.maketrans({
    "&": r"\&", "%": r"\%", "_": r"\_", "#": r"\#", "–": "--",
    "±": r"$\pm$", "−": "$-$", "∝": r"$\propto$", "⁴": "$^4$", "²": "$^2$",
})  # fmt: skip


@dataclass(frozen=True)
class Column:
    """A column: its name, and the format of its numbers: a format specification (".4f"), or a function of a number."""

    name: str
    form: str | Callable[[Any], str] = ""


@dataclass(frozen=True)
class As:
    """A value with its own format, for columns with several quantities."""

    value: Any
    form: str | Callable[[Any], str]


@dataclass(frozen=True)
class Table:
    """Values under a caption; `blocks` are groups of rows, each with its name in the first column.

    A value is a number, an object with number formats such as `Mean`, text, or None if it was not part of the run. Only
    this class turns numbers into text.
    """

    caption: str
    columns: tuple[Column | str, ...]
    blocks: tuple[tuple[Any, tuple[tuple[Any, ...], ...]], ...]  # (name of the block, rows without it)
    notes: tuple[str, ...] = ()

    @classmethod
    def of_rows(
        cls, caption: str, columns: Iterable[Column | str], rows: Iterable[Sequence[Any]], notes: Iterable[str] = ()
    ) -> "Table":
        """A table without groups: the first value of a row is its name."""
        return cls(caption, tuple(columns), tuple((row[0], (tuple(row[1:]),)) for row in rows), tuple(notes))

    @classmethod
    def of_groups(
        cls, caption: str, columns: Iterable[Column | str], rows: Iterable[Sequence[Any]], notes: Iterable[str] = ()
    ) -> "Table":
        """A table in which neighbouring rows with the same first value form a group."""
        groups = itertools.groupby(rows, key=lambda row: row[0])
        blocks = tuple((name, tuple(tuple(row[1:]) for row in group)) for name, group in groups)
        return cls(caption, tuple(columns), blocks, tuple(notes))

    @property
    def heads(self) -> tuple[str, ...]:
        return tuple(c.name if isinstance(c, Column) else c for c in self.columns)

    @property
    def rows(self) -> list[tuple[Any, ...]]:
        """All rows as values, each starting with the name of its block."""
        return [(name, *row) for name, rows in self.blocks for row in rows]

    def column(self, name: str) -> list[Any]:
        place = self.heads.index(name)
        return [row[place] for row in self.rows]

    def _written(self) -> list[tuple[str, list[tuple[str, ...]]]]:
        """The blocks as text."""
        forms = [c.form if isinstance(c, Column) else "" for c in self.columns]
        return [
            (written(name, forms[0]), [tuple(map(written, row, forms[1:])) for row in rows])
            for name, rows in self.blocks
        ]

    @property
    def _lines(self) -> list[tuple[str, ...]]:
        return [(name, *row) for name, rows in self._written() for row in rows]

    def markdown(self) -> str:
        """GitHub's pipe table, with the caption above and the notes below."""
        lines = [self.heads, tuple("---" for _ in self.columns), *self._lines]
        body = "\n".join("| " + " | ".join(line) + " |" for line in lines)
        return "\n\n".join([f"**{self.caption}**", body, *self.notes]) + "\n"

    def text(self) -> str:
        """Columns in line, for a terminal; the notes are left to the other forms."""
        lines = [self.heads, *self._lines]
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        rows = ("  ".join(map(str.ljust, line, widths)).rstrip() for line in lines)
        return "\n".join([self.caption, "", *rows]) + "\n"

    def csv(self) -> str:
        """Comma-separated values: the columns' names, then one line per row."""
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows([self.heads, *self._lines])
        return text.getvalue()

    def latex(self) -> str:
        """A booktabs `tabular`, a rule between blocks."""

        def line(cells: Sequence[str]) -> str:
            return " & ".join(cell.translate(LATEX) for cell in cells) + r" \\"

        lines = [line(self.heads)]
        for name, rows in self._written():
            lines.append(r"\midrule")
            lines += [line((name if i == 0 else "", *row)) for i, row in enumerate(rows)]
        alignment = "l" * 2 + "c" * (len(self.columns) - 2)
        begin, end = rf"\begin{{tabular}}{{{alignment}}}", r"\end{tabular}"
        return "\n".join([begin, r"\toprule", *lines, r"\bottomrule", end, ""])

    def _repr_markdown_(self) -> str:
        return self.markdown()

    def _repr_html_(self) -> str:
        head = "".join(f'<th scope="col">{html.escape(c)}</th>' if c else "<td></td>" for c in self.heads)
        bodies = "".join(f"<tbody>{_html_block(html.escape(name), rows)}</tbody>" for name, rows in self._written())
        notes = "".join(f"<p>{html.escape(note)}</p>" for note in self.notes)
        caption = f"<caption>{html.escape(self.caption)}</caption>"
        return f'<table class="table ddoq-table">{caption}<thead><tr>{head}</tr></thead>{bodies}</table>{notes}'


def written(value: Any, form: str | Callable[[Any], str] = "") -> str:
    """The text of a cell: a dash for None, text unchanged, a number by its format with a true minus sign."""
    if value is None:
        return NOTHING
    if isinstance(value, As):
        value, form = value.value, value.form
    if isinstance(value, str):
        return value
    return MINUS.sub("−", form(value) if callable(form) else format(value, form))


def _html_block(name: str, rows: list[tuple[str, ...]]) -> str:
    """The block's name in its own column, next to its rows."""
    lead = f'<th scope="rowgroup" rowspan="{len(rows)}">{name}</th>'
    return "".join(f"<tr>{lead if i == 0 else ''}{_html_cells(row)}</tr>" for i, row in enumerate(rows))


def _html_cells(row: tuple[str, ...]) -> str:
    """A number is on one line with its unit. Its interval is on the next line if there is no room, further numbers
    always. Long names break after an underscore."""
    kinds = (' class="number"' if NUMBER.fullmatch(text) and "[" not in text else "" for text in row)
    texts = (INTERVAL.sub(_unbroken, html.escape(text)).replace("], ", "],<br>").replace("_", "_<wbr>") for text in row)
    return "".join(f"<td{kind}>{text}</td>" for kind, text in zip(kinds, texts, strict=True))


def _unbroken(interval: re.Match) -> str:
    return interval[0].replace(" ", "&nbsp;")

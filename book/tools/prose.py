"""Warn of unusual form: links, exercises and cells of chapters, lectures, and wording that the style guide replaces.

In: the texts of `notebooks/`, `book/` and the packages. Out: a line `file:line: what` for each warning, and their
number. The exit code is 0 even with warnings: these are habits, and a text may have a reason to break one.
"""

import ast
import io
import itertools
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LINK = re.compile(r"\{term\}`([^`<]+?)(?: <([^`>]+)>)?`")
NO_PROSE = re.compile(
    r"\A---.*?^---$"  # the head of the file
    r"|^```(?:\{code-cell\}|bash|python|text).*?^```$"
    r"|^\$\$.*?^\$\$|\$[^$\n]+(?:\n[^$\n]+)?\$"  # formulas
    r"|^#.*?$|^`+\{.*?$|^:\w+:.*?$"  # headings, first lines and options of directives
    r"|(?P<term>\{term\}`[^`]*`)|\{[\w:-]+\}`[^`]*`|`[^`\n]+`"  # links to the glossary stay; other roles and code go
    r"|\]\([^)]*\)|^\|.*?$",  # targets of links, tables
    re.MULTILINE | re.DOTALL,
)
SPELLINGS = {  # forms of a word in a text, if there are more than the word with or without an s
    "cell mass": r"cell mass(?:es)?",
    "Zador's constant": r"Zador(?:'s (?:constant|theorem|limit))?",
    "guidance scale": r"guidance(?: scale)?",
    "distilled set": r"distilled (?:images?|sets?)",
    "student": r"students?(?!'s t)(?!'s \$)",
    "effective number": r"effective (?:numbers?|images|terms)",
    "score": r"(?:learned |exact )?scores?",
}
OTHER_SENSES = {"score": {"34"}, "strength": {"34"}}  # chapters where the word means something else
LONGEST_CELL = 25  # lines
NEEDED = {  # parts of a lecture for the teacher, each with a pattern and its least number of matches
    "Goals.": (r"\S", 80),
    "Project:": (r"\{numref\}`fig-", 1),
    "Exercises.": (r"\{ref\}`ex-", 4),
    "What students get wrong": (r'^- \*"', 4),
}
WORDING = {  # phrases that read like a translation, and what to write; the style is in CONTRIBUTING.md
    r"mend(?:s|ed|ing)?": "fix, correct or check",
    r"go(?:es)? on (?:from|with|where)": "resume",
    r"(?:is|are|was|were) told (?:to|by|from|before|as)": "gets, is set, is known",
    r"stands? (?:first|there|here|twice|beside|behind)": "is, occurs, comes",
    r"what (?:it|they) (?:is|are|was|were) made from": "source, inputs",
    r"in the place of": "instead of",
    r"on the spot": "during the run",
    r"by the clock": "of wall time",
    r"nothing else is needed but": "you only need",
}
WORDS = {  # tokens with words for people
    getattr(tokenize, name) for name in ("COMMENT", "STRING", "FSTRING_MIDDLE") if hasattr(tokenize, name)
}
MODULES = ("ddoq_core", "benchmarks", "book/ddoq_book", "book/extensions")
Found = Iterator[tuple[int, str]]  # a position in the text, and the warning


def terms(glossary: str) -> dict[str, str]:
    """Words of the glossary, with their entries."""
    blocks = re.findall(r"^```\{glossary\}\n(.*?)^```$", glossary, re.MULTILINE | re.DOTALL)
    entries = [re.split(r"\n", entry, maxsplit=1) for block in blocks for entry in re.split(r"\n\n(?=\S)", block)]
    return {word.strip(): text for word, text in entries}


def linked(text: str) -> list[str]:
    """Words of the glossary to which a page links."""
    return [m[2] or m[1] for m in LINK.finditer(text)]


def solutions(text: str) -> dict[str, str]:
    """Labels of a chapter's exercises, and the text of their hidden solutions."""
    return dict(re.findall(r"^```\{solution\} (\S+)\n:class: dropdown\n(.*?)^```$", text, re.M | re.S))


def links(text: str, chapter: str, words: dict[str, str]) -> Found:
    """A word that is not linked at its first use, or linked twice; too few links; the link to the notation."""
    at = {m.start(): (m[2] or m[1]) for m in LINK.finditer(text)}
    for word in words:
        found = None if chapter[:2] in OTHER_SENSES.get(word, ()) else _first_use(word, text)
        link = found and text.rfind("{term}`", 0, found.start() + len("{term}`"))
        if found and (at.get(link) != word or found.start() != link + len("{term}`")):
            yield found.start(), f"{word!r} is not linked to the glossary at its first use"
    seen: set[str] = set()
    for place, word in at.items():
        if word in seen:
            yield place, f"{word!r} is linked again"
        seen.add(word)
    if len(seen) < 4:
        yield 0, f"links to {len(seen)} words of the glossary, fewer than 4"
    if text.count("](../notation.md)") != 1:
        yield 0, f"links to the notation {text.count('](../notation.md)')} times, not once"


def _first_use(word: str, text: str) -> re.Match | None:
    """First use of a word in the running text; everything else is blanked out, without moving a character."""
    prose = NO_PROSE.sub(lambda m: m["term"] or re.sub(r"[^\n]", " ", m[0]), text)
    spelling = SPELLINGS.get(word, re.escape(word) + "s?")
    spelling = re.sub(r"(?:\\ | )", r"\\s+", spelling)  # a term may be broken over two lines
    return re.search(rf"(?<![\w-]){spelling}(?![\w+])", prose, 0 if word.isupper() else re.IGNORECASE)


def exercises(text: str, chapter: str) -> Found:
    """Too few exercises, or in Parts II and III too few solutions with a value that the run computed."""
    found = solutions(text)
    glued = sum("{glue:text}" in solution for solution in found.values())
    if len(found) < 3:
        yield 0, f"has {len(found)} exercises, fewer than 3"
    if chapter[0] in "23" and glued < 3:
        yield 0, f"has {glued} solutions with a glued value, fewer than 3"


def cells(text: str, chapter: str) -> Found:
    """A cell that is long or contains an algorithm: functions, classes and loops belong in the package."""
    for cell in re.finditer(r"^```\{code-cell\}[^\n]*\n(?:---\n.*?^---\n|(?::[^\n]*\n)*)(.*?)^```$", text, re.M | re.S):
        code = cell[1].strip()
        if len(code.splitlines()) > LONGEST_CELL:
            yield cell.start(), f"a cell of {len(code.splitlines())} lines, more than {LONGEST_CELL}"
        if any(isinstance(n, ast.FunctionDef | ast.ClassDef | ast.While) for n in ast.walk(ast.parse(code))):
            yield cell.start(), "a cell defines a function or a class, or loops"


def lectures(course: str) -> Found:
    """A lecture that does not take 50 minutes, or lacks a part that a teacher needs."""
    starts = [m.end() for m in re.finditer(r"^\(lecture-\d\)=$", course, re.MULTILINE)]
    for start, end in itertools.pairwise([*starts, len(course)]):
        lecture = course[start:end]
        minutes = sum(map(int, re.findall(r"^\| (\d+) \|", lecture, re.MULTILINE)))
        if minutes != 50:
            yield start, f"the lecture takes {minutes} minutes, not 50"
        for name, (what, fewest) in NEEDED.items():
            part = lecture.partition(f"**{name}")[2].partition("\n\n**")[0]
            if len(re.findall(what, part, re.MULTILINE)) < fewest:
                yield start, f"the lecture has too little under {name!r}"


def questions(handout: str) -> Found:
    """A handout that does not have three questions."""
    asked = len(re.findall(r"^\d\. ", handout, re.MULTILINE))
    if asked != 3:
        yield 0, f"asks {asked} questions, not 3"


def wording(text: str) -> Found:
    """Phrases with a plainer form, in a text without its code."""
    for phrase, better in WORDING.items():
        spaced = phrase.replace(" ", r"\s+")  # a phrase may be broken over two lines
        for match in re.finditer(rf"\b{spaced}\b(?!\}})", text, re.IGNORECASE):
            yield match.start(), f"{' '.join(match[0].split())!r}: write {better}"


def words_of_page(text: str) -> str:
    """A Markdown text with its code blanked out, without moving a character."""
    code = re.compile(
        r"^```\{?(?:code-cell|python|bash|text|literalinclude).*?^```$|`[^`\n]+`", re.MULTILINE | re.DOTALL
    )
    return code.sub(_blank, text)


def words_of_module(text: str) -> str:
    """The comments and texts of a Python module, without moving a character."""
    lines = text.splitlines(keepends=True)
    starts = [0, *itertools.accumulate(map(len, lines))]
    kept = list(_blank(re.match(r".*", text, re.DOTALL)))
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type in WORDS:
            at = starts[token.start[0] - 1] + token.start[1]
            kept[at : at + len(token.string)] = token.string
    return "".join(kept)


def _blank(match: re.Match) -> str:
    return re.sub(r"[^\n]", " ", match[0])


def warnings(root: Path) -> Iterator[str]:
    """A line for each warning about the texts in this folder."""
    words = terms((root / "book" / "glossary.md").read_text())
    pages = [(root / "book" / "course.md", lectures), *((p, questions) for p in root.glob("book/handouts/*.md"))]
    for path in root.glob("notebooks/[0-9][0-9]_*.md"):
        pages += [(path, lambda text, name=path.stem: links(text, name, words))]
        pages += [(path, lambda text, name=path.stem, rule=rule: rule(text, name)) for rule in (exercises, cells)]
    for path in itertools.chain(root.glob("*.md"), root.glob("notebooks/*.md"), root.glob("book/**/*.md")):
        if "chapters" not in path.parts:
            pages += [(path, lambda text: wording(words_of_page(text)))]
    for path in itertools.chain(*((root / name).rglob("*.py") for name in MODULES)):
        pages += [(path, lambda text: wording(words_of_module(text)))]
    for path, rule in sorted(pages, key=lambda page: page[0]):
        text = path.read_text()
        yield from (f"{path.relative_to(root)}:{text.count(chr(10), 0, at) + 1}: {what}" for at, what in rule(text))


if __name__ == "__main__":
    found = list(warnings(ROOT))
    print(*found, f"{len(found)} warnings of form", sep="\n")

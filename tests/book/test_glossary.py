"""The glossary: every word that a chapter uses is linked where it stands first, and the glossary leads back."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
GLOSSARY = ROOT / "book" / "glossary.md"
CHAPTERS = sorted((ROOT / "notebooks").glob("[0-9][0-9]_*.md"))
LINK = re.compile(r"\{term\}`([^`<]+?)(?: <([^`>]+)>)?`")
NO_PROSE = re.compile(
    r"\A---.*?^---$"  # the head of the file
    r"|^```\{code-cell\}.*?^```$"
    r"|^\$\$.*?^\$\$|\$[^$\n]+(?:\n[^$\n]+)?\$"  # formulas
    r"|^#.*?$|^`+\{.*?$|^:\w+:.*?$"  # headings, first lines and options of directives
    r"|(?P<term>\{term\}`[^`]*`)|\{[\w:-]+\}`[^`]*`|`[^`\n]+`"  # links to the glossary stay; other roles and code go
    r"|\]\([^)]*\)|^\|.*?$",  # targets of links, tables
    re.MULTILINE | re.DOTALL,
)
SPELLINGS = {  # how a word may stand in a text, where that is more than the word and an s
    "cell mass": r"cell mass(?:es)?",
    "Zador's constant": r"Zador(?:'s (?:constant|theorem|limit))?",
    "guidance scale": r"guidance(?: scale)?",
    "distilled set": r"distilled (?:images?|sets?)",
    "student": r"students?(?!'s t)(?!'s \$)",
    "effective number": r"effective (?:numbers?|images|terms)",
    "score": r"(?:learned |exact )?scores?",
}
OTHER_SENSES = {"score": {"34"}, "strength": {"34"}}  # chapters in which the word means something else


def terms() -> dict[str, str]:
    """Words of the glossary, and what it says of them."""
    blocks = re.findall(r"^```\{glossary\}\n(.*?)^```$", GLOSSARY.read_text(), re.MULTILINE | re.DOTALL)
    entries = [re.split(r"\n", entry, maxsplit=1) for block in blocks for entry in re.split(r"\n\n(?=\S)", block)]
    return {word.strip(): text for word, text in entries}


def prose(text: str) -> str:
    """A chapter with everything that is not running text blanked out, each character in its place."""
    return NO_PROSE.sub(lambda m: m["term"] or re.sub(r"[^\n]", " ", m[0]), text)


def first_use(word: str, text: str) -> re.Match | None:
    """Where a word stands first in a chapter's running text."""
    spelling = SPELLINGS.get(word, re.escape(word) + "s?")
    spelling = re.sub(r"(?:\\ | )", r"\\s+", spelling)  # a word may be broken over two lines
    flags = 0 if word.isupper() else re.IGNORECASE
    return re.search(rf"(?<![\w-]){spelling}(?![\w+])", prose(text), flags)


each_chapter = pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda p: p.stem)


@each_chapter
def test_a_word_of_the_glossary_is_linked_where_a_chapter_uses_it_first(chapter):
    text = chapter.read_text()
    links = {m.start(): (m[2] or m[1]) for m in LINK.finditer(text)}
    for word in terms():
        found = first_use(word, text)
        if found and chapter.stem[:2] not in OTHER_SENSES.get(word, set()):
            at = text.rfind("{term}`", 0, found.start() + len("{term}`"))
            assert links.get(at) == word and found.start() == at + len("{term}`"), (
                f"line {text[: found.start()].count(chr(10)) + 1}: {word}"
            )


@each_chapter
def test_a_word_is_linked_once_in_a_chapter_and_stands_in_the_glossary(chapter):
    linked = [m[2] or m[1] for m in LINK.finditer(chapter.read_text())]
    assert len(linked) == len(set(linked)) and set(linked) <= set(terms())
    assert len(linked) >= 4


@pytest.mark.parametrize("word", terms())
def test_the_glossary_names_a_page_that_links_back(word):
    named = re.findall(r"\]\(([\w/]+)\.(?:ipynb|md)\)", terms()[word])
    files = [ROOT / n.replace("chapters/", "notebooks/") if "/" in n else ROOT / "book" / n for n in named]
    linked = [{m[2] or m[1] for m in LINK.finditer(f.with_suffix(".md").read_text())} for f in files]
    assert named and any(word in of_page for of_page in linked), named


@each_chapter
def test_a_chapter_links_to_the_notation(chapter):
    assert chapter.read_text().count("](../notation.md)") == 1

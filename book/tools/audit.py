"""Check the rendered book: it loads nothing from the network, no file or link target is missing, every picture has alt
text, every chapter has a figure, no folder of this machine is named, no page is too large, and browsers show it well.

In: the folder of the HTML. Out: one line for each finding, and exit code 1 if there is any; the sizes of the pages, and
the path of the book.
"""

import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import browsing

ROOT = Path(__file__).resolve().parents[2]
LOADS = {  # attributes that make a browser fetch something
    "img": ["src", "srcset"],
    "source": ["src", "srcset"],
    "video": ["src", "poster"],
    "object": ["data"],
    "image": ["href"],
    "use": ["href"],
} | {tag: ["src"] for tag in ("script", "iframe", "audio", "track", "embed", "input")}
LOADED_LINKS = {"stylesheet", "icon", "preload", "prefetch", "preconnect", "modulepreload", "dns-prefetch", "manifest"}
CSS_URL = re.compile(r"""url\(\s*['"]?([^'")]+)|@import\s+['"]([^'"]+)""")
FILE_NAME = re.compile(r"^\S*\.(png|svg|jpe?g|gif|webp)$", re.IGNORECASE)
READABLE = {".html", ".js", ".css", ".json", ".ipynb", ".md", ".txt", ".svg"}
SHORTEST_ALT = 10
MB = 10**6
MOST_OF_A_PAGE, MOST_OF_THE_BOOK = 2 * MB, 60 * MB


@dataclass
class Page(HTMLParser):
    """Files that a page loads, links, anchors and pictures of the page."""

    loads: list[str] = field(default_factory=list)
    links: list[str] = field(default_factory=list)
    anchors: set[str] = field(default_factory=set)
    undescribed: list[str] = field(default_factory=list)
    figures: int = 0
    in_style: bool = False

    def __post_init__(self) -> None:
        super().__init__()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note what a tag refers to."""
        values = {name: value or "" for name, value in attrs}
        self.in_style = tag == "style"
        self.figures += tag == "figure"
        self.anchors |= {values[name] for name in ("id", "name") if name in values}
        for name in LOADS.get(tag, []):
            urls = values.get(name, "").split(",") if name == "srcset" else [values.get(name, "")]
            self.loads += [url.split()[0] for url in urls if url.strip()]
        if tag == "link" and LOADED_LINKS & set(values.get("rel", "").split()):
            self.loads.append(values.get("href", ""))
        elif tag in ("a", "area", "link") and "href" in values:
            self.links.append(values["href"])
        self.loads += css_urls(values.get("style", ""))
        if tag == "img" and not _describes(values.get("alt", "")):
            self.undescribed.append(values.get("src", "")[:80] or values.get("id", "without a name"))

    def handle_data(self, data: str) -> None:
        """Note what an inline style sheet loads."""
        if self.in_style:
            self.loads += css_urls(data)
            self.in_style = False


def css_urls(css: str) -> list[str]:
    """URLs that a style sheet makes a browser fetch."""
    return [a or b for a, b in CSS_URL.findall(css)]


def audit(html: Path, hidden: list[str]) -> Iterator[str]:
    """Findings of a rendered book, one line each.

    Args:
        html: folder of the rendered book.
        hidden: texts that must not occur in it, such as the folder where it was built.
    """
    pages = {path: _parsed(path) for path in sorted(html.rglob("*.html")) if "_static" not in path.parts}
    if not pages:
        yield f"no page in {html}"
    for path, page in pages.items():
        name = path.relative_to(html)
        for url in page.loads:
            yield from (f"{name}: {problem}" for problem in _load_problem(path.parent, url))
        for url in page.links:
            yield from (f"{name}: {problem}" for problem in _link_problem(path, url, pages))
        for image in page.undescribed:
            yield f"{name}: a picture has no alt text that describes it: {image}"
        if name.parts[0] == "chapters" and not page.figures:
            yield f"{name}: the chapter has no figure"
    for sheet in sorted(html.rglob("*.css")):
        for url in css_urls(sheet.read_text(errors="replace")):
            yield from (f"{sheet.relative_to(html)}: {problem}" for problem in _load_problem(sheet.parent, url))
    for path in sorted(p for p in html.rglob("*") if p.suffix in READABLE and p.is_file()):
        text = path.read_text(errors="replace")
        yield from (f"{path.relative_to(html)}: shows the machine's folder {h}" for h in hidden if h in text)
    yield from _too_heavy(html)


def weights(html: Path) -> dict[str, int]:
    """Bytes of each page with its pictures, without shared scripts and style sheets; largest first."""
    found = {}
    for path in html.rglob("*.html"):
        if "_static" not in path.parts:
            own = {path.parent / urlsplit(url).path for url in _parsed(path).loads if not urlsplit(url).scheme}
            pictures = [p for p in own if p.suffix not in (".js", ".css") and p.is_file()]
            found[str(path.relative_to(html))] = sum(p.stat().st_size for p in [path, *pictures])
    return dict(sorted(found.items(), key=lambda item: -item[1]))


def total(html: Path) -> int:
    """Bytes of all files of the book."""
    return sum(p.stat().st_size for p in html.rglob("*") if p.is_file())


def _too_heavy(html: Path) -> Iterator[str]:
    for name, size in weights(html).items():
        if size > MOST_OF_A_PAGE:
            yield f"{name}: {size / MB:.1f} MB with its pictures, more than {MOST_OF_A_PAGE / MB:.0f} MB"
    if (size := total(html)) > MOST_OF_THE_BOOK:
        yield f"the book has {size / MB:.1f} MB, more than {MOST_OF_THE_BOOK / MB:.0f} MB"


def _parsed(path: Path) -> Page:
    page = Page()
    page.feed(path.read_text())
    return page


def _describes(alt: str) -> bool:
    """Whether an alt text is a description: some words, not the name of a file."""
    return len(alt) >= SHORTEST_ALT and " " in alt.strip() and not FILE_NAME.match(alt)


def _load_problem(folder: Path, url: str) -> Iterator[str]:
    parts = urlsplit(url)
    if parts.scheme in ("data", "blob"):
        return
    if parts.scheme or parts.netloc:
        yield f"loads {url} from the network"
    elif parts.path and not (folder / unquote(parts.path)).is_file():
        yield f"loads {url}, which is missing"


def _link_problem(page: Path, url: str, pages: dict[Path, Page]) -> Iterator[str]:
    parts = urlsplit(url)
    if parts.scheme or parts.netloc:
        return
    target = (page.parent / unquote(parts.path)).resolve() if parts.path else page
    if not target.is_file():
        yield f"links to {url}, which is missing"
    elif parts.fragment and target in pages and unquote(parts.fragment) not in pages[target].anchors:
        yield f"links to {url}, an anchor that the page does not have"


def main(html: Path) -> None:
    """Print the findings, the sizes of the pages and the path of the book; exit with code 1 if there are findings."""
    html = html.resolve()
    findings = list(dict.fromkeys(audit(html, [f"{Path.home()}/", str(ROOT)])))
    with browsing.chromium() as browser:
        if browser is None:
            print(f"no browser: formulas and widths were not checked; install {' or '.join(browsing.CHROMIUM)}")
        else:
            findings += browsing.faults(html, browser)
    for finding in findings:
        print(f"audit: {finding}", file=sys.stderr)
    sizes = weights(html)
    heaviest = ", ".join(f"{name} {size / MB:.1f} MB" for name, size in list(sizes.items())[:4])
    print(f"{len(sizes)} pages, {total(html) / MB:.1f} MB in total; the largest with their pictures: {heaviest}")
    if findings:
        sys.exit(f"the book has {len(findings)} faults: see above")
    print(f"The book is at {html / 'index.html'}")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "_build" / "html")

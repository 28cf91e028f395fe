"""What the docs' site has from outside of this folder: benchmarks, changes, how to contribute."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[1]
FROM_OUTSIDE = {
    "benchmarks.md": ROOT / "benchmarks/README.md",
    "changelog.md": ROOT / "CHANGELOG.md",
    "contributing.md": ROOT / "CONTRIBUTING.md",
}
LINKS = {
    "../benchmarks/README.md": "benchmarks.md",
    "../CHANGELOG.md": "changelog.md",
    "../CONTRIBUTING.md": "contributing.md",
    "../README.md": "README.md",
}
NOT_ON_THE_SITE = re.compile(r"\[([^\]]+)\]\((?:\.\./)+(?:examples|src|tests)[^)]*\)")


def on_files(files: Files, config: Any) -> Files:
    """Add the pages from outside."""
    for name, path in FROM_OUTSIDE.items():
        text = path.read_text(encoding="utf-8")
        text = text.replace("](docs/", "](").replace("](../docs/", "](")
        files.append(File.generated(config, name, content=text))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Links that leave the folder lead to those pages."""
    depth = page.file.src_uri.count("/")
    for there, here in LINKS.items():
        up = "../" * depth
        markdown = markdown.replace(f"]({up}{there}", f"]({up}{here}")
    return NOT_ON_THE_SITE.sub(r"\1", markdown)

"""Static files: named by their hash, small, and nobody else's without a licence beside it."""

from __future__ import annotations

import gzip
import hashlib
import re

from istmo.kit.assets import STATIC, Assets


def test_a_file_is_served_under_a_name_that_changes_with_it() -> None:
    assets = Assets()
    path = assets.path("app.css")
    assert re.fullmatch(r"/static/app\.[0-9a-f]{10}\.css", path)
    found = assets.get(path.removeprefix("/static/"))
    assert found is not None and found.content == (STATIC / "app.css").read_bytes()
    assert assets.get("app.css") is None
    assert assets.get("../settings.py") is None


def test_the_first_load_of_static_files_is_small() -> None:
    names = ("app.css", "keys.js", "copy.js", "live.js", "icon.svg", "vendor/htmx.min.js")
    assert sum(len(gzip.compress((STATIC / name).read_bytes(), mtime=0)) for name in names) < 30_000


def test_what_others_wrote_is_the_version_that_the_readme_names() -> None:
    digest = hashlib.sha256((STATIC / "vendor" / "htmx.min.js").read_bytes()).hexdigest()
    assert digest in (STATIC / "vendor" / "README.md").read_text("utf-8")
    assert (STATIC / "vendor" / "htmx.LICENSE.txt").exists()


def test_our_own_files_reach_for_nothing_elsewhere() -> None:
    for name in ("app.css", "keys.js", "copy.js", "live.js"):
        text = (STATIC / name).read_text("utf-8")
        assert not re.search(r"https?:|@import|url\(|eval\(|innerHTML|new Function", text)


def test_dark_is_the_same_dark_whoever_chose_it() -> None:
    """A person may choose what the system does not say: the tokens stand twice in the style sheet."""
    text = (STATIC / "app.css").read_text("utf-8")
    blocks = [
        re.findall(r"--[a-z-]+: [^;]+;", text[text.index(start) :].split("}")[0])
        for start in (":root:not([data-scheme=light]) {", ":root[data-scheme=dark] {")
    ]
    assert blocks[0] and blocks[0] == blocks[1]

"""Folders, files and zips of rules, as users download them and as somebody might forge them."""

from __future__ import annotations

import io
import struct
import zipfile
from pathlib import Path

import pytest

from istmo.detect.sigma import Problem, ReadRule, RuleLimits, RuleSet, load_rules, read_rules, rule_files

from .asking import tell

RULE = """title: {0}
id: {0}
logsource: {{product: windows}}
detection: {{selection: {{A: b}}, condition: selection}}
"""


def archive(members: dict[str, bytes | str], compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w", compression) as opened:
        for name, content in members.items():
            opened.writestr(name, content)
    return held.getvalue()


def codes(loaded: RuleSet) -> list[str]:
    tell(loaded.problems)
    return [problem.code for problem in loaded.problems]


def test_a_zip_is_read_like_the_folder_it_was(tmp_path: Path) -> None:
    members: dict[str, bytes | str] = {f"rules/windows/{name}.yml": RULE.format(name) for name in "bac"}
    for name, content in members.items():
        path = tmp_path / "unpacked" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(str(content), "utf-8")
    packed = tmp_path / "rules.zip"
    packed.write_bytes(archive(members))
    from_folder, from_zip = load_rules(tmp_path / "unpacked"), load_rules(packed)
    assert from_folder == from_zip == load_rules(packed.read_bytes())
    assert [rule.title for rule in from_zip.rules] == ["a", "b", "c"]


def test_stray_members_are_skipped_and_told_and_the_rest_is_kept() -> None:
    loaded = load_rules(
        archive(
            {
                "LICENSE": "text",
                "README.md": "text",
                "__MACOSX/rules/._a.yml": b"\x00\x05\x16\x07",
                "rules/a.yml": RULE.format("a"),
                "rules/tool.exe": b"MZ",
                "rules/b.yaml": RULE.format("b"),
                "rules/broken.yml": "title: [",
            }
        )
    )
    assert [rule.title for rule in loaded.rules] == ["a", "b"]
    assert {(p.file, p.code) for p in loaded.problems} == {
        ("__MACOSX/rules/._a.yml", "stray_macosx"),
        ("rules/tool.exe", "stray_not_yaml"),
        ("rules/broken.yml", "yaml_open"),
    }


def test_a_zip_bomb_is_never_unpacked() -> None:
    loaded = load_rules(archive({"bomb.yml": b"a" * (900 << 10), "good.yml": RULE.format("good")}))
    assert [rule.title for rule in loaded.rules] == ["good"]
    assert codes(loaded) == ["zip_bomb"]


def test_a_member_larger_than_a_rule_is_refused_by_its_header() -> None:
    assert codes(load_rules(archive({"large.yml": b"a" * (2 << 20)}))) == ["file_too_large"]


def test_a_header_that_lies_about_the_size_does_not_help() -> None:
    data = bytearray(archive({"liar.yml": b"# " * (1 << 20), "good.yml": RULE.format("good")}))
    directory = data.index(b"PK\x01\x02")
    struct.pack_into("<I", data, directory + 24, 10)  # uncompressed size in the central directory
    loaded = load_rules(bytes(data))
    assert [rule.title for rule in loaded.rules] == ["good"]
    assert codes(loaded) in (["packed_damaged"], ["zip_bomb"], ["file_too_large"])


def test_a_damaged_member_costs_only_itself() -> None:
    data = bytearray(archive({"a.yml": RULE.format("a"), "b.yml": RULE.format("b")}, zipfile.ZIP_STORED))
    data[data.index(b"title: a") + 7] ^= 1
    loaded = load_rules(bytes(data))
    assert [rule.title for rule in loaded.rules] == ["b"]
    assert codes(loaded) == ["packed_damaged"]


def test_an_encrypted_member_is_told() -> None:
    data = bytearray(archive({"a.yml": RULE.format("a")}))
    directory = data.index(b"PK\x01\x02")
    data[directory + 8] |= 1
    assert codes(load_rules(bytes(data))) == ["encrypted"]


@pytest.mark.parametrize("keep", [4, 30, 100])
def test_a_zip_cut_short_is_told(keep: int) -> None:
    assert codes(load_rules(archive({"a.yml": RULE.format("a")})[:keep])) == ["not_a_zip"]


def test_an_archive_of_too_many_or_too_much_is_bounded() -> None:
    many = archive({f"{n}.yml": RULE.format(n) for n in range(20)})
    assert codes(load_rules(many, limits=RuleLimits(archive_members=10))) == ["too_many_members"]
    loaded = load_rules(many, limits=RuleLimits(archive_bytes=1000))
    assert codes(loaded) == ["archive_too_large"]
    assert 0 < len(loaded.rules) < 20


def test_an_empty_zip_is_no_rules_and_no_problem() -> None:
    assert load_rules(archive({})) == RuleSet()


def test_a_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    assert codes(load_rules(tmp_path / "nowhere")) == ["not_there"]


def test_links_in_a_folder_are_not_followed(tmp_path: Path) -> None:
    (tmp_path / "secret.txt").write_text(RULE.format("secret"))
    folder = tmp_path / "rules"
    folder.mkdir()
    (folder / "link.yml").symlink_to(tmp_path / "secret.txt")
    (folder / "a.yml").write_text(RULE.format("a"))
    assert [rule.title for rule in load_rules(folder).rules] == ["a"]


def test_progress_is_told_file_by_file() -> None:
    told: list[tuple[int, int]] = []
    load_rules(
        archive({f"{n}.yml": RULE.format(n) for n in range(3)}),
        progress=lambda files, rules: told.append((files, rules)),
    )
    assert told == [(1, 1), (2, 2), (3, 3)]


def test_a_flood_of_problems_ends_the_load() -> None:
    text = "---\n".join("nothing: here\n" for _ in range(100)).encode()
    loaded = load_rules(archive({f"{n}.yml": text for n in range(5)}), limits=RuleLimits(problems=150))
    assert codes(loaded)[-1] == "too_many_problems"
    assert len(loaded.problems) == 151


def test_the_text_of_each_rule_is_given_to_who_keeps_it() -> None:
    text = "---\n".join([RULE.format("a"), RULE.format("b"), "title: [\n"])
    a, b, problem = read_rules(rule_files(text.encode()))
    assert isinstance(a, ReadRule)
    assert isinstance(b, ReadRule)
    assert (a.text, b.text) == (RULE.format("a"), "---\n" + RULE.format("b"))
    assert load_rules(b.text.encode()).rules[0].digest == b.rule.digest
    assert isinstance(problem, Problem)
    assert problem.key == "sigma.problem.yaml_open"

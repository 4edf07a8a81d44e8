"""What tags of rules say, and where it is described."""

from __future__ import annotations

from istmo.detect.attack import said_by


def test_each_tag_is_said_once_in_the_way_of_whoever_keeps_it() -> None:
    said = said_by(
        (
            "attack.execution",
            "attack.t1059.001",
            "car.2016-03-001",
            "cve.2021-44228",
            "CVE.2017.0144",
            "detection.dfir",
        )
    )
    assert said.tactics == (("execution", "attack.execution"),)
    assert said.techniques == (("T1059.001", "https://attack.mitre.org/techniques/T1059/001/"),)
    assert said.referred == (
        ("CAR-2016-03-001", "https://car.mitre.org/analytics/CAR-2016-03-001"),
        ("CVE-2021-44228", "https://nvd.nist.gov/vuln/detail/CVE-2021-44228"),
        ("CVE-2017-0144", "https://nvd.nist.gov/vuln/detail/CVE-2017-0144"),
    )
    assert said.others == ("detection.dfir",)


def test_what_only_looks_like_a_number_of_one_is_a_tag_like_any_other() -> None:
    tags = ("car.model-3", "cve.2021", "cve.2021-44228/../x", "cve.2021-44228\n")
    assert said_by(tags).others == tags and said_by(tags).referred == ()

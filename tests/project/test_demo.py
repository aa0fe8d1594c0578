"""The demo itself is run by ``make demo``; here is what it says where it cannot run."""

from __future__ import annotations

import pytest

from qemb_tools import demo


def test_what_is_missing_is_asked_for_by_name(monkeypatch, capsys, tmp_path):
    monkeypatch.setitem(demo.NEEDED, "a_package_that_is_not_there", "nothing in particular")
    assert demo.main(["--output", str(tmp_path / "out")]) == 2
    complaint = capsys.readouterr().err
    assert "a_package_that_is_not_there" in complaint
    assert "qemb-format[demo]" in complaint
    assert not (tmp_path / "out").exists()


def test_an_unknown_option_is_refused(capsys):
    with pytest.raises(SystemExit) as refusal:
        demo.main(["--nonsense"])
    assert refusal.value.code == 2
    assert "--nonsense" in capsys.readouterr().err

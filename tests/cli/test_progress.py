"""How far a loop has come."""

from __future__ import annotations

from edgevid.cli import progress


def test_a_log_gets_a_line_now_and_then_and_the_items_pass(monkeypatch, capsys):
    assert list(progress.shown("abc", 3, "letters")) == ["a", "b", "c"]
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(progress, "LINE_EVERY_S", 0.0)
    assert list(progress.shown("abc", 3, "letters")) == ["a", "b", "c"]
    assert capsys.readouterr().err == "letters: 1/3\nletters: 2/3\nletters: 3/3\n"

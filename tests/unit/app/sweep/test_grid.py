"""What `--param` takes and refuses, and what names a combination."""

from __future__ import annotations

import pytest

from dudzian_daemon.app.plugins.loader import PluginSource, load_plugin
from dudzian_daemon.app.sweep.grid import axes_of, candidates, combinations, digest_of, size
from dudzian_daemon.config.places import bundled
from dudzian_daemon.domain.errors import ConfigError


@pytest.fixture(scope="module")
def reversion() -> PluginSource:
    return load_plugin("strategies", "mean_reversion", [bundled("plugins")])


def test_steps_are_counted_exactly_and_both_ends_are_in(reversion: PluginSource) -> None:
    axes = axes_of(["lookback=10:30:10", "entry_zscore=1.1:1.4:0.1", "exit_zscore=0.2, 0.3"], reversion)
    assert [axis.values for axis in axes] == [(10, 20, 30), (1.1, 1.2, 1.3, 1.4), (0.2, 0.3)]
    assert size(axes) == len(list(combinations(axes))) == 24
    assert next(combinations(axes)) == {"lookback": 10, "entry_zscore": 1.1, "exit_zscore": 0.2}


def test_what_the_plugin_refuses_between_values_is_left_out_and_counted(reversion: PluginSource) -> None:
    axes = axes_of(["entry_zscore=1,2", "exit_zscore=0.5,1.5"], reversion)
    found = candidates(axes, reversion, {"lookback": 10})
    assert found.taken == (
        {"entry_zscore": 1, "exit_zscore": 0.5},
        {"entry_zscore": 2, "exit_zscore": 0.5},
        {"entry_zscore": 2, "exit_zscore": 1.5},
    )
    assert (found.refused, "expected exit_zscore < entry_zscore" in found.reason) == (1, True)


@pytest.mark.parametrize(
    ("texts", "line"),
    [
        ([], "--param: expected at least one"),
        (["lookback"], "--param: expected NAME=first:last:step or NAME=one,two,three, found 'lookback'"),
        (["lookbak=5"], "--param lookbak: unknown parameter; did you mean 'lookback'?"),
        (["lookback=1"], "--param lookback: expected a whole number >= 2, found 1"),
        (["lookback=10:20:2.5"], "--param lookback: expected a whole number, found 12.5"),
        (["lookback=nan"], "--param lookback: expected a whole number, found 'nan'"),
        (["entry_zscore=inf"], "--param entry_zscore: expected a number, found 'inf'"),
        (["lookback=20:10:1"], "--param lookback: expected first:last:step with first <= last and a step above 0, found '20:10:1'"),
        (["lookback=10:20:0"], "step above 0, found '10:20:0'"),
        (["lookback=10:20"], "found '10:20'"),
        (["entry_zscore=1:2:1e-9"], "and at most 100000 values"),
        (["lookback=5,,6"], "--param lookback: expected a value between the commas"),
        (["lookback=5,6,5"], "--param lookback: expected each value once"),
        (["lookback=5", "lookback=6"], "--param lookback: expected each parameter once, found it 2 times"),
    ],
)
def test_wrong_parameters_are_refused_in_one_line(reversion: PluginSource, texts: list[str], line: str) -> None:
    with pytest.raises(ConfigError) as refused:
        axes_of(texts, reversion)
    assert line in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_grid_of_nothing_the_plugin_takes_is_refused(reversion: PluginSource) -> None:
    axes = axes_of(["entry_zscore=1", "exit_zscore=2,3"], reversion)
    with pytest.raises(ConfigError, match=r"found 2 and none of them; the first: .*expected exit_zscore < entry_zscore"):
        candidates(axes, reversion, {})


def test_a_digest_names_the_parameters_whatever_their_order() -> None:
    assert digest_of({"a": 1, "b": 0.5}) == digest_of({"b": 0.5, "a": 1})
    assert digest_of({"a": 1}) != digest_of({"a": 2})

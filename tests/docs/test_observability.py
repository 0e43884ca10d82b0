"""Board and rules speak of metrics that exist, with labels that they have; the rules fire when they should."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry
from ruamel.yaml import YAML

from dudzian_daemon.adapters.metric_families import new_registry
from dudzian_daemon.domain.alerts import AlertCode
from dudzian_daemon.kernel.bus import Bus, Policy
from dudzian_daemon.sinks.metrics import TOPICS, MetricsSink
from dudzian_daemon.testing.clock import ManualClock

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "docs" / "observability"
BOARD: dict[str, Any] = json.loads((FOLDER / "board.json").read_text(encoding="utf-8"))
RULES = [rule for group in YAML(typ="safe").load((FOLDER / "rules.yml").read_text(encoding="utf-8"))["groups"] for rule in group["rules"]]
EXPRESSIONS = [target["expr"] for panel in BOARD["panels"] for target in panel.get("targets", ())] + [rule["expr"] for rule in RULES]
FOUR = {"RISK-DAILY-LIMIT", "ADAPTER-OFFLINE", "DATA-LAG", "ALERT-CHANNEL-FAIL"}


def scraped() -> CollectorRegistry:
    registry, bus = new_registry(), Bus()
    MetricsSink(registry, bus.subscribe_queued(TOPICS, name="metrics", size=10, policy=Policy.DROP_OLDEST), bus, ManualClock())
    return registry


def names_of(registry: CollectorRegistry) -> dict[str, set[str]]:
    """Every name a query may use, with the labels of its family."""
    found: dict[str, set[str]] = {}
    for collector in list(registry._collector_to_names):
        labels = set(getattr(collector, "_labelnames", ()))
        for family in collector.collect():
            for suffix in {"counter": ["_total"], "histogram": ["_bucket", "_sum", "_count"]}.get(family.type, [""]):
                found[family.name + suffix] = labels
    return found


def test_every_metric_of_board_and_rules_exists_with_the_labels_they_ask_for() -> None:
    known = names_of(scraped())
    for expression in EXPRESSIONS:
        asked = re.findall(r"\b((?:dudzian|process)_\w+)(?:\{([^}]*)\})?", expression)
        assert asked or expression.startswith("up{"), expression
        for name, matchers in asked:
            assert name in known, f"{name} in {expression}"
            labels = set(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", matchers)) - {"instance"}
            assert labels <= known[name], f"{labels - known[name]} of {name} in {expression}"


def test_every_label_of_a_legend_is_one_of_its_metric() -> None:
    known = names_of(scraped())
    for panel in BOARD["panels"]:
        for target in panel.get("targets", ()):
            name = re.findall(r"\b((?:dudzian|process)_\w+)", target["expr"])[0]
            assert set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"])) <= known[name], panel["title"]


def test_every_family_of_the_daemon_that_moves_is_on_the_board() -> None:
    shown = " ".join(EXPRESSIONS)
    missing = [
        name for name in names_of(scraped()) if name.startswith("dudzian_") and not name.endswith(("_sum", "_count")) and name not in shown
    ]
    assert sorted(missing) == [
        "dudzian_build_info",  # in the list of instances
        "dudzian_instrument_instant_seconds",
        "dudzian_journal_sequence",
        "dudzian_session_instant_seconds",
    ]


def test_panels_do_not_overlap_and_have_an_id_of_their_own() -> None:
    cells = [
        (x, y)
        for panel in BOARD["panels"]
        for x in range(panel["gridPos"]["x"], panel["gridPos"]["x"] + panel["gridPos"]["w"])
        for y in range(panel["gridPos"]["y"], panel["gridPos"]["y"] + panel["gridPos"]["h"])
    ]
    assert len(cells) == len(set(cells)) and max(x for x, _ in cells) < 24
    assert len({panel["id"] for panel in BOARD["panels"]}) == len(BOARD["panels"])


def test_the_rules_speak_of_the_four_codes_and_say_what_to_do() -> None:
    assert {rule["labels"]["code"] for rule in RULES} == FOUR | {"DAEMON-DOWN"}
    assert set(AlertCode) >= FOUR
    assert all(rule["annotations"]["action"] and rule["annotations"]["summary"] for rule in RULES)


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool comes with Debian's package prometheus")
@pytest.mark.parametrize("arguments", [("check", "rules", "rules.yml"), ("test", "rules", "rules.test.yml")], ids=" ".join)
def test_promtool_is_content_with_the_rules(arguments: tuple[str, ...]) -> None:
    done = subprocess.run(["promtool", *arguments], cwd=FOLDER, capture_output=True, text=True, check=False)
    assert (done.returncode, "FAILED" in done.stdout + done.stderr) == (0, False), done.stdout + done.stderr


def test_every_alert_code_has_a_paragraph() -> None:
    text = (ROOT / "docs" / "reference" / "alerts.md").read_text(encoding="utf-8")
    assert all(f"### {code}\n" in text for code in AlertCode)

"""Promise P6: no code path sends an order to an exchange. By what the source names, and by what a whole live run asks for.

Both are proved able to fail: on a copy of the product in which the venue's client does send an order.
"""

from __future__ import annotations

import ast
import re
import shutil
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.live_paper import addresses, configured, market, start

ROOT = Path(__file__).resolve().parents[2]
PRODUCT = ("dudzian_daemon", "plugins")
CLIENT = Path("dudzian_daemon/adapters/ccxt_exchange.py")
#: What an exchange's client calls orders, withdrawals, transfers and private requests, in both of its spellings.
FORBIDDEN = re.compile(
    r"(create|edit|cancel|replace|submit|place)_?(\w+_)?orders?(_ws|_async)?"
    r"|(create|edit|cancel)\w*Orders?(Ws)?"
    r"|withdraw\w*|transfer(_out|_in)?|(create|fetch)_?deposit\w*"
    r"|(private|sapi|papi|sapiV\d|fapiPrivate\w*|dapiPrivate\w*|eapiPrivate)_?(get|post|put|delete)\w*"
    r"|fetch_?(balance|open_orders|my_trades|positions|accounts|ledger)\w*"
    r"|set_?(leverage|margin_mode|position_mode)|apiKey|api_key|privateKey|check_required_credentials"
)
#: Our own names that look like one: what the simulator and its operator do on paper, and words of the configuration.
OURS = {
    "dudzian_daemon/config/fields.py": {"withdraw"},
    "dudzian_daemon/config/environment.py": {"withdraw"},
    "dudzian_daemon/config/rules.py": {"withdraw"},
    "dudzian_daemon/kernel/bus.py": {"withdraw"},
}

assert sys.platform != "win32", "signals as POSIX has them"


def names(tree: ast.AST) -> Iterator[str]:
    """Everything a module calls, takes as an attribute, imports, defines, passes by keyword or spells out as a word."""
    for node in ast.walk(tree):
        match node:
            case ast.Name(id=name) | ast.Attribute(attr=name) | ast.alias(name=name) | ast.keyword(arg=str(name)):
                yield name
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                yield name
            case ast.Constant(value=str(name)):
                yield name
            case _:
                pass


def offences(root: Path) -> list[str]:
    """Where the product names a way to an order."""
    found = []
    for path in sorted(file for folder in PRODUCT for file in (root / folder).rglob("*.py")):
        place = path.relative_to(root).as_posix()
        known = OURS.get(place, set())
        used = names(ast.parse(path.read_text(encoding="utf-8")))
        found += [f"{place}: {name}" for name in used if FORBIDDEN.fullmatch(name) and name not in known]
    return found


def importers(root: Path) -> set[str]:
    """The modules that import ccxt, or what imports it by name."""
    found = set()
    for path in (file for folder in PRODUCT for file in (root / folder).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            modules = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            modules += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            if any(module.split(".")[0] == "ccxt" or module.endswith(".ccxt_import") for module in modules):
                found.add(path.relative_to(root).as_posix())
    return found


def importers_by_name(root: Path) -> set[str]:
    """The modules that import by name and know the name of ccxt."""
    found = set()
    for path in (file for folder in PRODUCT for file in (root / folder).rglob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        texts = {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)}
        if {"import_module", "__import__"} & set(names(tree)) and any(text.partition(".")[0] == "ccxt" for text in texts):
            found.add(path.relative_to(root).as_posix())
    return found


@pytest.fixture(scope="module")
def mutant(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The product with an order in it."""
    root = tmp_path_factory.mktemp("mutant")
    for folder in (*PRODUCT, "config"):
        shutil.copytree(ROOT / folder, root / folder, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", root)
    path = root / CLIENT
    text = path.read_text(encoding="utf-8")
    begun = "        await self._ready()\n        fetch ="
    assert begun in text
    path.write_text(text.replace(begun, f"        asyncio.get_running_loop().create_task(_trade())\n{begun}") + TRADE, encoding="utf-8")
    return root


TRADE = """

async def _trade() -> None:
    import ccxt.async_support

    client = ccxt.async_support.binance({"apiKey": "key", "secret": "secret"})
    try:
        await client.create_order("BTC/USDT", "limit", "buy", 1, 1)
    finally:
        await client.close()
"""


def test_the_source_names_no_way_to_an_order() -> None:
    assert offences(ROOT) == []


def test_one_module_imports_the_client() -> None:
    assert importers(ROOT) == {CLIENT.with_name("ccxt_client.py").as_posix()}
    assert importers_by_name(ROOT) == {CLIENT.with_name("ccxt_import.py").as_posix()}


def test_the_scan_finds_an_order(mutant: Path) -> None:
    assert offences(mutant) == [f"{CLIENT.as_posix()}: apiKey", f"{CLIENT.as_posix()}: create_order"]


@pytest.mark.integration
def test_a_run_that_sends_an_order_is_seen_by_what_it_asks_for(mutant: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    config = configured(home, polled=("{streams: true, quote_seconds: 5}", "{quote_seconds: 5}"))
    with market() as venue, start(home, venue, config, env={"PYTHONPATH": str(mutant)}) as child:
        venue.until_asked("bookTicker", 3)
        child.send(signal.SIGKILL)
        child.end()
    assert "lookup 'api.binance.com'" in addresses(home)


@pytest.mark.integration
def test_a_run_without_one_asks_for_loopback_only(tmp_path: Path) -> None:
    home = tmp_path / "home"
    config = configured(home, polled=("{streams: true, quote_seconds: 5}", "{quote_seconds: 5}"))
    with market() as venue, start(home, venue, config) as child:
        venue.until_asked("bookTicker", 20)
        child.send(signal.SIGINT)
        assert child.end().code == 0
    asked = addresses(home)
    assert asked
    assert all("127.0.0.1" in line for line in asked), asked

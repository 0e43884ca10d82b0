"""Field types of the configuration and the struct all sections derive from; knows no section by name.

Modules with sections have no `from __future__ import annotations`: every annotation would be text, and compiling it, twice, took a
twentieth of a start.

Limits of Decimals live in `Meta.extra_json_schema`, so that the editor schema and the check at construction read the same
numbers. `x-expected` is how an error message describes a pattern.
"""

from __future__ import annotations

from decimal import Decimal
from functools import cache
from typing import Annotated, Any, Final, Literal, get_args, get_type_hints

import msgspec
from msgspec import Meta

#: `$` also matches before a final newline; this does not.
_END: Final = r"$(?!\n)"
#: Decimals beyond these are typing errors, and would blow up when written out.
MAX_DIGITS: Final = 30
MAX_EXPONENT: Final = 20

#: Said of an environment whose mode is `live`, the only fault that has exit code 7.
LIVE_REFUSED: Final = "live trading is not built; use demo or paper"

_BOUNDS: Final = ("minimum", "exclusiveMinimum", "maximum")


def about(description: str) -> Meta:
    """The line that explains a key in the editor and in docs/reference/config.md."""
    return Meta(description=description)


def _text(pattern: str, expected: str, length: int) -> Meta:
    return Meta(pattern=pattern + _END, max_length=length, extra_json_schema={"x-expected": expected})


def _number(**bounds: float) -> Meta:
    return Meta(extra_json_schema=bounds)


Name = Annotated[str, _text(r"^[A-Za-z][A-Za-z0-9_]*", "a name of letters, digits and _", 64)]
Label = Annotated[str, _text(r"^[A-Za-z0-9][A-Za-z0-9_-]*", "a label of letters, digits, _ and -", 64)]
DottedName = Annotated[str, _text(r"^[a-z][a-z0-9_]*(\.[a-z0-9_]+)*", "a dotted name such as runtime.scheduler.core", 128)]
Variable = Annotated[str, _text(r"^[A-Za-z_][A-Za-z0-9_]*", "the name of an environment variable", 64)]
Asset = Annotated[str, _text(r"^[A-Z0-9]+", "an asset in capitals such as USDT", 16)]
Symbol = Annotated[str, _text(r"^[A-Za-z0-9]+[/_-]?[A-Za-z0-9]+", "a pair such as BTC_USDT", 33)]
Channel = Annotated[str, _text(r"^[a-z][a-z0-9_]*:[A-Za-z][A-Za-z0-9_]*", "a channel such as telegram:primary", 64)]
Text = Annotated[str, Meta(max_length=500)]
#: Relative to the data folder; not resolved here.
OutputPath = Annotated[str, _text(r"^[^\x00-\x1f\x7f]+", "a path", 400)]
#: Relative to the folder of the configuration file; absolute after loading.
InputPath = Annotated[str, _text(r"^[^\x00-\x1f\x7f]+", "a path", 400), Meta(extra={"path": "input"})]
Host = Annotated[str, _text(r"^[A-Za-z0-9.:_-]+", "a host name or address", 253)]

Count = Annotated[int, Meta(ge=0, le=1_000_000)]
Positive = Annotated[int, Meta(ge=1, le=1_000_000)]
Seconds = Annotated[int, Meta(ge=1, le=31 * 86_400)]
Days = Annotated[int, Meta(ge=1, le=36_500)]
Version = Literal[1]
Granularity = Literal["30s", "1m", "5m", "15m", "30m", "1h", "4h", "1d"]
Permission = Literal["read", "trade", "withdraw"]
Scope = Literal["runtime.schedule.read", "runtime.schedule.write"]

Fraction = Annotated[Decimal, _number(minimum=0, maximum=1)]
PositiveFraction = Annotated[Decimal, _number(exclusiveMinimum=0, maximum=1)]
Multiple = Annotated[Decimal, _number(minimum=0, maximum=1000)]
Leverage = Annotated[Decimal, _number(minimum=1, maximum=1000)]
Amount = Annotated[Decimal, _number(minimum=0, maximum=10**15)]
Step = Annotated[Decimal, _number(exclusiveMinimum=0, maximum=10**9)]
#: A rate of the traded value; a negative one is a rebate.
FeeRate = Annotated[Decimal, _number(minimum=-0.01, maximum=0.1)]

#: Value of a plugin's parameter; integers as far as a float is exact.
Scalar = bool | Annotated[int, Meta(ge=-(2**53), le=2**53)] | float | Annotated[str, Meta(max_length=1000)]


class Section(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A mapping of the configuration: frozen, unknown keys refused, Decimals within their limits."""

    def __post_init__(self) -> None:
        for name, limits in _decimal_fields(type(self)):
            value = getattr(self, name)
            for amount in value.values() if isinstance(value, dict) else (value,):
                fault = decimal_fault(amount, limits) if isinstance(amount, Decimal) else None
                if fault:
                    msg = f"{name}: {fault}"
                    raise ValueError(msg)


def decimal_fault(amount: Decimal, limits: dict[str, Any]) -> str | None:
    """What is wrong with `amount` under the JSON Schema bounds in `limits`, None if nothing."""
    digits, exponent = amount.as_tuple().digits, amount.as_tuple().exponent
    if not isinstance(exponent, int):
        return f"expected a finite number, found {amount}"
    if len(digits) > MAX_DIGITS or abs(exponent) > MAX_EXPONENT:
        return f"expected a number of at most {MAX_DIGITS} digits and {MAX_EXPONENT} decimals, found {len(digits)} digits"
    if "minimum" in limits and amount < limits["minimum"]:
        return f"expected a number >= {limits['minimum']}, found {amount}"
    if "exclusiveMinimum" in limits and amount <= limits["exclusiveMinimum"]:
        return f"expected a number > {limits['exclusiveMinimum']}, found {amount}"
    if "maximum" in limits and amount > limits["maximum"]:
        return f"expected a number <= {limits['maximum']}, found {amount}"
    return None


@cache
def _decimal_fields(section: type[Section]) -> tuple[tuple[str, dict[str, Any]], ...]:
    hints = get_type_hints(section, include_extras=True)
    found = ((name, _limits(hint)) for name, hint in hints.items())
    return tuple((name, limits) for name, limits in found if limits is not None)


def _limits(hint: Any) -> dict[str, Any] | None:
    """Bounds of the Decimal inside `hint` (bare, optional or a mapping's value), None if there is none."""
    metas = getattr(hint, "__metadata__", ())
    if metas and hint.__origin__ is Decimal:
        extras = [meta.extra_json_schema or {} for meta in metas if isinstance(meta, Meta)]
        return {key: extra[key] for extra in extras for key in _BOUNDS if key in extra}
    return next((limits for limits in map(_limits, get_args(hint)) if limits is not None), None)

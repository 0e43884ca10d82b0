"""Options that belong together, as one argument of a command: a struct whose fields are the options."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from typing import Any, ClassVar, get_args, get_type_hints

import msgspec
from typer.models import OptionInfo

Command = Callable[..., None]


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """A group: each field is an option, `Annotated` as an argument of a command, with its default; `panel` heads it in the help."""

    panel: ClassVar[str] = ""

    def given(self) -> dict[str, Any]:
        """What the command line said of them: those that are not as they are by default."""
        defaults = {each.name: each.default for each in msgspec.structs.fields(self)}
        return {name: value for name, value in msgspec.structs.asdict(self).items() if value != defaults[name]}


def grouped(command: Command) -> Command:
    """The command as typer takes it: in place of an argument that is a group stand the group's options."""
    taken = parameters(command)
    groups = {each.name: each.annotation for each in taken if inspect.isclass(each.annotation) and issubclass(each.annotation, Options)}

    def run(*before: Any, **given: Any) -> None:
        made = {
            name: group(**{option: given.pop(option) for option in group.__struct_fields__ if option in given})
            for name, group in groups.items()
        }
        command(*before, **made, **given)

    own = [option for each in taken for option in (_options(groups[each.name]) if each.name in groups else (each,))]
    return described(run, command, own)


def described(run: Command, command: Command, own: list[inspect.Parameter]) -> Command:
    """`run` with the name and text of `command`, and these parameters."""
    run.__doc__, run.__name__, run.__module__ = command.__doc__, command.__name__, command.__module__
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in own}
    run.__signature__ = inspect.Signature(own)  # type: ignore[attr-defined]  # what typer reads; functions take it, mypy has no such field
    return run


def parameters(function: Callable[..., Any]) -> list[inspect.Parameter]:
    """Those of a function, by keyword, each with its annotation resolved."""
    hints = get_type_hints(function, include_extras=True)
    found = inspect.signature(function).parameters.values()
    return [parameter.replace(annotation=hints[parameter.name], kind=inspect.Parameter.KEYWORD_ONLY) for parameter in found]


def _options(group: type[Options]) -> Iterator[inspect.Parameter]:
    hints = get_type_hints(group, include_extras=True)
    for field in msgspec.structs.fields(group):
        for info in get_args(hints[field.name])[1:]:
            if isinstance(info, OptionInfo) and group.panel:
                info.rich_help_panel = group.panel
        default = inspect.Parameter.empty if field.required else field.default
        yield inspect.Parameter(field.name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=hints[field.name])

"""What models were really asked and answered, for ``run.json``: kept when a step ends, in whatever way."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from esc_eval.chat.base import ESTIMATED
from esc_eval.environment import installed_versions
from esc_eval.simulation.budget import Budget
from esc_eval.simulation.cost import Price
from esc_eval.simulation.run import Run
from esc_eval.simulation.supporters import is_priced


@contextmanager
def keep_served(
    run: Run,
    step: str,
    models: Mapping[str, Any],
    budget: Budget | None = None,
    prices: Mapping[str, Price] | None = None,
) -> Iterator[None]:
    """Write into ``run.json`` what models were asked and what answered while this was open.

    Args:
        run: Whose.
        step: ``simulation``, or ``scoring/RATER``.
        models: By the role that they have.
        budget: What the step is paid from.
        prices: By the model's name.
    """
    before = {role: dict(getattr(model, "usage", None) or {}) for role, model in models.items()}
    spent = budget.spent if budget else 0.0
    how = "finished"
    try:
        yield
    except BaseException as error:
        how = f"stopped: {type(error).__name__}"
        raise
    finally:
        facts: dict[str, Any] = {
            "ended": datetime.now(UTC).isoformat(timespec="seconds"),
            "how": how,
            "models": {role: _describe(model, before[role]) for role, model in models.items()},
            "libraries": installed_versions(_libraries(models.values())),
        }
        if cost := _cost(models.values(), budget, spent, prices or {}, counts_itself=step == "simulation"):
            facts["cost"] = cost
        run.add_served(step, facts)


def _describe(model: Any, before: Mapping[str, int]) -> dict[str, Any]:
    usage = {kind: n - before.get(kind, 0) for kind, n in dict(getattr(model, "usage", None) or {}).items()}
    found = {
        "name": model.name,
        "adapted": dict(getattr(model, "adapted", None) or {}),
        "seen": {kind: _plain(values) for kind, values in dict(getattr(model, "seen", None) or {}).items()},
        "usage": {kind: n for kind, n in usage.items() if n},
    }
    return {key: value for key, value in found.items() if value}


def _plain(values: Any) -> Any:
    return values if isinstance(values, str | int | float | Mapping) else list(values)


def _libraries(models: Iterable[Any]) -> tuple[str, ...]:
    """Those that ask servers: ours, and those that a model names itself."""
    named = {name for model in models for name in getattr(model, "libraries", ())}
    return ("httpx", *sorted(named))


def _cost(
    models: Iterable[Any], budget: Budget | None, spent: float, prices: Mapping[str, Price], *, counts_itself: bool
) -> dict[str, Any] | None:
    """What a step has cost so far, earlier calls included, whose price nobody knows, and whose tokens were estimated;
    None where nothing costs.

    Args:
        counts_itself: Whether replies say their tokens, also of a model that keeps no counts.
    """
    models = list(models)
    unknown = sorted({model.name for model in models if model.name not in prices and is_priced(model)})
    priced = any(model.name in prices for model in models)
    if not unknown and not priced:
        return None
    guessed = sorted({m.name for m in models if m.name in prices and _is_estimated(m, counts_itself)})
    return {
        "dollars": round(budget.spent - spent, 6) if budget and priced else None,
        "no_price": unknown,
        **({"estimated": guessed} if guessed else {}),
    }


def _is_estimated(model: Any, counts_itself: bool) -> bool:
    usage = getattr(model, "usage", None)
    return not counts_itself if usage is None else any(name.startswith(ESTIMATED) for name in usage)

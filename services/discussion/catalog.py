"""Which model is meant: names are looked up in the providers' own live lists, never guessed."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from rapidfuzz import process

from contracts.attempts import LiveModel
from contracts.failures import Invalid
from contracts.prices import Price
from contracts.providers import PROVIDERS, Provider
from contracts.supply import ModelView
from services.discussion import pricing

NEAREST = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Catalog:
    """What one key (or a provider without keys) was last seen to offer."""

    provider: str
    endpoint: str
    models: tuple[LiveModel, ...]
    refreshed_at: datetime
    key: str = ""
    activated_at: datetime | None = None

    def ids(self) -> set[str]:
        """Of the models that can be talked to."""
        return {model.id for model in self.models if self._chats(model)}

    def others(self) -> set[str]:
        """Of those that make vectors, pictures or sound, or judge a text."""
        return {model.id for model in self.models if not self._chats(model)}

    def _chats(self, model: LiveModel) -> bool:
        row = PROVIDERS.get(self.provider)
        return model.chats is not False and (row is None or row.chats(model.id))


def resolve(
    wanted: str | None,
    preferred: str,
    catalogs: Sequence[Catalog],
    rows: Mapping[str, Provider] = PROVIDERS,
) -> str:
    """The `provider/model` to use.

    `wanted` is what the asker chose, `preferred` the persona's own preference, a wish only.
    Raises Invalid with a slug (unknown-provider, no-key, retired-model, unknown-model, no-model)
    and what to do.
    """
    if wanted:
        return _chosen(wanted, catalogs, rows)
    if preferred:
        try:
            return _chosen(preferred, catalogs, rows)
        except Invalid:
            pass  # a preference that cannot be had is passed over
    return default(catalogs, rows)


def default(catalogs: Sequence[Catalog], rows: Mapping[str, Provider] = PROVIDERS) -> str:
    """The newest verified provider's default, else what needs no key."""
    oldest = datetime.min.replace(tzinfo=UTC)
    newest_first = sorted(
        catalogs, key=lambda known: (bool(known.key), known.activated_at or oldest), reverse=True
    )
    for known in newest_first:
        row = rows.get(known.provider)
        if row is not None and (model := _default_of(row, known)):
            return f"{row.name}/{model}"
    raise Invalid(
        "No model is available: no provider key is verified and the local model is off.",
        slug="no-model",
        title="No model is available",
        next_step="Add a provider key: parley keys add kimi, or POST /api/v1/keys.",
    )


def _default_of(row: Provider, known: Catalog) -> str:
    live = known.ids()
    preferred = next((id for id in row.default_models if id in live), "")
    return preferred or min(live - row.retired.keys(), default="")


def _chosen(wanted: str, catalogs: Sequence[Catalog], rows: Mapping[str, Provider]) -> str:
    provider, slash, name = wanted.partition("/")
    row = rows.get(provider)
    if not slash or row is None:
        raise Invalid(
            f"There is no provider called {provider!r}: a model is named provider/model.",
            slug="unknown-provider" if slash else "unknown-model",
            title="Unknown model",
            nearest=nearest(wanted, catalogs),
            next_step="GET /api/v1/models lists what there is.",
        )
    own = [known for known in catalogs if known.provider == provider]
    live = {id for known in own for id in known.ids()}
    if name in live:
        return wanted
    if (successor := row.retired.get(name)) is not None:
        raise Invalid(
            f"{wanted} was retired by {row.title}; its successor is {provider}/{successor}.",
            slug="retired-model",
            title="This model is retired",
            successor=f"{provider}/{successor}",
            next_step=f"Use {provider}/{successor}.",
        )
    if not own:
        raise _unavailable(row)
    if any(name in known.others() for known in own):
        raise Invalid(
            f"{wanted!r} is no model to talk to: it makes or judges something else.",
            slug="unknown-model",
            title="This model does not chat",
            nearest=nearest(wanted, catalogs),
            next_step="GET /api/v1/models lists those that do.",
        )
    if (pattern := row.families.get(name)) is not None and (found := _newest(pattern, live)):
        return f"{provider}/{found}"
    raise Invalid(
        f"{row.title} has no model called {name!r}.",
        slug="unknown-model",
        title="Unknown model",
        nearest=nearest(wanted, catalogs),
        next_step="GET /api/v1/models lists what there is.",
    )


def _unavailable(row: Provider) -> Invalid:
    if not row.needs_key:
        return Invalid(
            f"{row.title} is not running.",
            slug="no-model",
            title="This provider is not available",
            next_step=f"{row.absent} Or choose another model: GET /api/v1/models.".strip(),
        )
    return Invalid(
        f"There is no working key for {row.title}.",
        slug="no-key",
        title="No key for this provider",
        next_step=f"Add one: parley keys add {row.name}, or POST /api/v1/keys. "
        "GET /api/v1/keys says what is wrong with those there are.",
    )


def _newest(pattern: str, live: set[str]) -> str:
    """The id with the highest version numbers among those that match."""
    matching = [id for id in live if re.fullmatch(pattern, id)]
    return max(matching, key=_version, default="")


def _version(id: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", id))


def nearest(wanted: str, catalogs: Sequence[Catalog]) -> list[str]:
    """Names that exist and look like `wanted`."""
    names = [f"{known.provider}/{id}" for known in catalogs for id in known.ids()]
    found = process.extract(wanted, sorted(set(names)), limit=NEAREST)
    return [name for name, _, _ in found]


# --- What is known of a model ----------------------------------------------------------------


def participant_facts(
    model: str, catalogs: Sequence[Catalog], rows: Mapping[str, Provider] = PROVIDERS
) -> tuple[bool, Price | None]:
    """Whether the model thinks and what it costs, as of now."""
    provider, _, name = model.partition("/")
    row = rows[provider]
    for known in catalogs:
        for live in known.models if known.provider == provider else ():
            if live.id == name:
                return _thinks(row, live), _price(row, live, known.refreshed_at)
    return _thinks(row, LiveModel(id=name)), pricing.listed(row.model(name))


def _thinks(row: Provider, live: LiveModel) -> bool:
    """The row knows best: some lists tell who can think, not who does so unasked."""
    known = row.model(live.id)
    return known.thinks if known is not None else bool(live.thinks)


def _price(row: Provider, live: LiveModel, seen: datetime) -> Price | None:
    """The provider's own word, else the row's."""
    return pricing.told(live, seen.date().isoformat()) or pricing.listed(row.model(live.id))


# --- What is shown ---------------------------------------------------------------------------


def listing(
    catalogs: Sequence[Catalog], rows: Mapping[str, Provider] = PROVIDERS
) -> list[ModelView]:
    """Every model that can be used now, and the retired ones with their successors."""
    try:
        best = default(catalogs, rows)
    except Invalid:
        best = ""
    shown: dict[str, ModelView] = {}
    for known in catalogs:
        row = rows.get(known.provider)
        if row is not None:
            usable = known.ids()
            for live in known.models:
                if live.id in usable:
                    view = _view(row, live, known.refreshed_at, best)
                    shown[view.id] = view
    retired = [
        ModelView(
            id=f"{row.name}/{old}",
            provider=row.name,
            retired=True,
            successor=f"{row.name}/{successor}",
        )
        for row in rows.values()
        for old, successor in row.retired.items()
        if f"{row.name}/{old}" not in shown
    ]
    return [*sorted(shown.values(), key=lambda view: view.id), *retired]


def _view(row: Provider, live: LiveModel, seen: datetime, best: str) -> ModelView:
    known = row.model(live.id)
    id = f"{row.name}/{live.id}"
    return ModelView(
        id=id,
        provider=row.name,
        context_window=live.context_window or (known.context_window if known else None),
        price=_price(row, live, seen),
        thinks=_thinks(row, live),
        sees=live.sees,
        calls_tools=live.calls_tools,
        default=id == best,
        note=row.note,
    )

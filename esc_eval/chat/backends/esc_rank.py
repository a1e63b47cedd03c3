"""``esc-rank``: the paper's released scorer."""

from esc_eval.chat.base import ChatModel
from esc_eval.chat.registry import Options, backend

NAME = "ESC-RANK"


@backend(
    "esc-rank",
    form="esc-rank[:ADAPTERS[@BASE]]",
    help="the released ESC-RANK, a scorer: folders of its adapters and of internlm2-chat-7b, or the Hub",
    extra="local",
    label=lambda _: NAME,
)
def open_esc_rank(what: str, name: str | None, options: Options) -> ChatModel:
    """Open it from folders, or from the Hub at the pinned revisions."""
    from esc_eval.chat.engine.esc_rank import RankModel

    adapters, _, base = what.partition("@")
    return RankModel(adapters or None, base or None, name=name or NAME, **options.in_process)

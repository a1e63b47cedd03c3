"""``esc-role``: the paper's released seeker."""

from esc_eval.chat.base import ChatModel
from esc_eval.chat.registry import Options, backend

NAME = "ESC-Role"


@backend(
    "esc-role",
    form="esc-role[:DIR]",
    help="the released ESC-Role, a seeker: a folder, or the Hub",
    extra="local",
    label=lambda _: NAME,
)
def open_esc_role(what: str, name: str | None, options: Options) -> ChatModel:
    """Open it from a folder, or from the Hub at the pinned revision."""
    from esc_eval.chat.engine.esc_role import RoleModel

    return RoleModel(what or None, name=name or NAME, **options.in_process)

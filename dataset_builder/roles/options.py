"""What the verbs of ``roles`` share: the folder of the pipeline, and the model that reads or writes cards."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from esc_eval.chat.registry import describe_forms

if TYPE_CHECKING:
    from esc_eval.chat.base import ChatModel

Work = Annotated[Path, typer.Option(help="Folder of this pipeline; an interrupted stage goes on where it stopped.")]


@dataclass(frozen=True)
class ModelOptions:
    """The model of a stage, as options say it."""

    model: Annotated[str, typer.Option(help=f"{describe_forms()}.")] = "embedded"
    base_url: Annotated[str | None, typer.Option(help="Server of openai: models, up to /v1.")] = None
    batch_size: Annotated[
        int | None, typer.Option(min=1, help="Conversations at a time, of models in this process.")
    ] = None

    def open(self) -> "ChatModel":
        """The model.

        Raises:
            EscEvalError: As ``open_model`` does.
        """
        from esc_eval.chat import Options, open_model

        return open_model(
            self.model, Options(base_url=(self.base_url,) if self.base_url else (), batch_size=self.batch_size)
        )

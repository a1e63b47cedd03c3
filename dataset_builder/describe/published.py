"""What a build says once it has a place on the Hub: id and tag in its card, in Croissant and in the manifest."""

from hashlib import sha256
from pathlib import Path

from dataset_builder.describe import card, croissant, manifest
from esc_eval.files.writing import json_text


def render_published(folder: Path, repo: str, tag: str | None) -> dict[str, str]:
    """The files of a build that name its place, by path in it; all others are published as they lie there.

    Args:
        folder: A build whose manifest is true to it.
        repo: Id of the dataset repository.
        tag: What is set on its commit; None = none, so lines of the card load whatever is newest.

    Raises:
        EscEvalError: The manifest cannot be read, or mlcroissant is not installed and the build has its file.
    """
    content = {**manifest.read_manifest(folder), "published": {"repo": repo, "revision": tag}}
    texts = {card.FILE: card.render_card(content), card.LICENSE: card.render_card(content, card.LICENSE_TEMPLATE)}
    if croissant.FILE in content["files"]:
        texts[croissant.FILE] = croissant.render_croissant(content)
    for name, text in texts.items():
        data = text.encode("utf-8", "surrogatepass")
        content["files"][name] = {"sha256": sha256(data).hexdigest(), "bytes": len(data)}
    return {**texts, manifest.FILE: json_text(content)}

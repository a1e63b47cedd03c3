"""What all pages share: an application that refuses what it should, templates, wording by language, and a server.

The pages are rendered on the server by Jinja2 under Starlette, with a little script of our own beside them: a rater's
phone needs no build of ours and no asset from elsewhere, a page works as soon as its HTML is there, and the same
templates make files that can be mailed.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from esc_eval.web.guard import Access, is_loopback
    from esc_eval.web.pages import Pages, make_app
    from esc_eval.web.words import Words, interface_languages, load_words

__all__ = ["Access", "Pages", "Words", "interface_languages", "is_loopback", "load_words", "make_app"]
_PLACES = {"Access": "guard", "is_loopback": "guard", "Pages": "pages", "make_app": "pages"}


def __getattr__(name: str) -> Any:
    """Load when asked: wording is part of files that are made without a server, and without Starlette."""
    if name not in __all__:
        raise AttributeError(name)
    return getattr(import_module(f"esc_eval.web.{_PLACES.get(name, 'words')}"), name)

"""Models behind a chat-completions server.

``model`` is the chat model, ``asking`` has one conversation answered for it. Below them: ``addresses`` and ``keys`` say
where requests go and what is sent along, ``requests`` sends one and reads its body within limits (``bodies``),
``refusals`` reads what a server says that it does not take, ``adapting`` learns from it, ``replies`` takes an answer
apart, ``pool`` chooses among servers, ``standing`` tells one conversation's trouble from everybody's, ``record`` keeps
what is worth knowing.
"""

"""What the Hub refuses, or does not answer, is told with what to do."""

from huggingface_hub.errors import LocalEntryNotFoundError

from esc_eval.hub.refusals import explain_refusal


def test_a_hub_that_nobody_reaches_does_not_find_fault_with_what_was_sent():
    said = str(explain_refusal("org/name", "reading", LocalEntryNotFoundError("no snapshot"), None))
    assert "cannot be reached" in said
    assert "finds fault" not in said

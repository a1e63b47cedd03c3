"""Cards of the checkpoints, rendered from what training wrote, and the one way to the Hugging Face Hub.

``python -m model_cards card DIR`` renders a checkpoint's card, ``official`` those of the released checkpoints that this
package uses, ``push`` publishes a checkpoint.
"""

"""The one way to the Hugging Face Hub: plan, refuse, push, read back, tag."""

"""The released ESC-Role and ESC-RANK checkpoints on today's libraries, without code from their repositories.

ESC-RANK is fourteen LoRA adapters on InternLM2-7B-Chat, whose packed attention needs remote code that no longer runs;
``prepare`` makes an ordinary Llama model of the base and ordinary Llama adapters of the fourteen, with equal logits.
ESC-Role is a Qwen2 model and loads as it is.
"""

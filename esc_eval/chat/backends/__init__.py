"""One file a backend; each registers its opener with ``esc_eval.chat.registry.backend`` and imports lazily."""

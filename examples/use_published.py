"""What a stranger types to use a release, on a machine that has nothing of ours but the wheel.

usage: python examples/use_published.py NAMESPACE TAG
"""

import sys

import evaluate
from datasets import get_dataset_config_names, load_dataset

from esc_eval.chat import open_model
from esc_eval.prompts.protocol import Generation
from esc_eval.schema import Dialogue, Turn
from esc_eval.scoring import text_scorer

namespace, tag = sys.argv[1:]

# The configs of the data set: those of its tables that have rows.
for config in get_dataset_config_names(f"{namespace}/esc-eval", revision=tag):
    table = load_dataset(f"{namespace}/esc-eval", config, split="test", revision=tag)
    print(config, len(table))

# ESC-Role, as a chat model of this package; an adapter brings its base along.
seeker = open_model(f"hf:{namespace}/esc-role@{tag}")
conversation = [{"role": "user", "content": "How are you?"}]
[(_, reply)] = seeker.reply([conversation], Generation(max_new_tokens=4), seeds=[0])
print("esc-role", seeker.identity["revision"], len(reply.text), "characters")

# ESC-RANK. A text scorer rates a dialogue; a language model gives probabilities of levels after a few words.
spec = f"hf:{namespace}/esc-rank@{tag}"
if (rater := text_scorer.open_text_scorer(spec)) is not None:
    turns = (Turn(role="seeker", text="I cannot sleep."), Turn(role="supporter", text="What keeps you awake?"))
    [levels] = rater.verdicts([Dialogue(id="mine", language="en", turns=turns)])
    print("esc-rank", levels)
else:
    scorer = open_model(spec)
    [(_, [choice])] = scorer.choose([[conversation]], "Score: ", ["0", "1", "2", "3", "4"])
    print("esc-rank", choice.probabilities)

# The paper's accuracy, with what a constant reaches beside it.
metric = evaluate.load(f"{namespace}/esc_accuracy", revision=tag)
print("esc_accuracy", metric.compute(predictions=[3, 3, 2], references=[3, 2, 2])["majority_accuracy"])

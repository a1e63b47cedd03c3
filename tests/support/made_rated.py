"""Made-up copies of public sets that people rated, in their authors' layouts and in words of our own."""

import csv
import json

from analysis.rated.epitome import FILES as EPITOME_FILES
from analysis.rated.lend_an_ear import EXPERTS, MODELS, STUDIES
from analysis.studies.ieval import BOTS, OVERALL, SCALES, SIDES
from esc_eval.prompts.rubric import load_rubric

LOG = "- My cat ran off.\n- Oh no. Since when?\n- Since Monday.\n- I hope she is back soon."
IEVAL = [
    {
        "part": part,
        **{
            side: {bot: {"chat_log": LOG, **dict.fromkeys(SCALES, 4), **dict.fromkeys(OVERALL, 2)} for bot in BOTS}
            for side in SIDES
        },
    }
    for part in (1, 2)
]
FED = [
    {
        "context": "User: My bike is gone\nSystem: Stolen?\nUser: I think so",
        "response": "System: Call the police.",
        "system": "Robot",
        "annotations": {
            "Interesting": [2, 1, "N/A (no idea)", 0, 1],
            "Understandable": [1, 1, 0, 1, 1],
            "Overall": [4, 3, 2, 1, 0],
        },
    },
    {
        "context": "User: My bike is gone\nSystem: Stolen?\nUser: I think so\nSystem: Call the police.\nUser: Done",
        "system": "Robot",
        "annotations": {
            "Error recovery": ["N/A (none)"] * 4 + [2],
            "Consistent": [1, 0, 1, 1, 1],
            "Overall": [3, 3, 2, 1, 0],
        },
    },
]
USR = [
    {
        "source": "I run a lot .\nDo you ?\nEvery day .\n",
        "system_id": name,
        "system_output": f"{answer}\n",
        "context": "A fact.",
        "scores": {
            "understandability": 2 / 3,
            "groundedness": 0.0,
            "naturalness": 7 / 3,
            "coherence": 3.0,
            "engagingness": 5 / 3,
            "overall": 4.3333333333,
        },
        "predict_scores": {"naturalness": 0.91},
    }
    for name, answer in (("Original Ground Truth", "So do I ."), ("Greedy", "I like dogs ."))
]
CONTURE = [
    {
        "dialog_id": 5,
        "turns": [
            {"user": "hi", "chatbot": "Hello!", "overall impression": 1},
            {"user": "I lost my keys", "chatbot": "Where?", "overall impression": 2},
        ],
        "dialog_ratings": [
            {"consistent": 1, "error recovery": "N/A", "human (overall)": 4},
            {"consistent": 0, "error recovery": 3, "human (overall)": 5},
        ],
    }
]
DUO = [
    {
        "dialogue_id": "0007",
        "model": "m-1",
        "prompt": "neutral",
        "emotion": "Proud",
        "subjective_evaluation": {"preference": 5.0, "empathy": 3.0},
        "objective_evaluation": {"preference": 3.67, "preference_scores": [3.0, 4.0, 4.0]},
        "dialogue": [
            {"speaker": "Human", "user_id": "0042", "message": "I won the race!"},
            {"speaker": "Bot", "message": "Well done."},
        ],
    },
    {
        "dialogue_id": "0008",
        "model": "m-2",
        "prompt": "neutral",
        "emotion": "Proud",
        "subjective_evaluation": {"preference": 1.0, "empathy": 2.0},
        "dialogue": [
            {"speaker": "Human", "user_id": "0043", "message": "Me too"},
            {"speaker": "Bot", "message": "Hm."},
        ],
    },
]
TALKS = [
    ("t1", "Seeker: I lost my job, and\nthe flat.\n\nSupporter: That is hard.\n\nSeeker: Yes, it is, truly."),
    ("t2", "Seeker: I lost my job, and\nthe flat.\n\nSupporter: Cheer up."),
]
ESCONV_SRA = [
    {
        "conv_id": f"0a1b-2c_{strategy}",
        "strategy": strategy,
        "history": "<br><b>seeker</b>: My bike is gone.\n All of it.<br><b>supporter</b>: Oh!<br><b>seeker</b>: Yes.",
        "file_names": [f"prompting/outputs/{model}//1.json" for model in models],
        "model1_response": "Where did you last see it? \n",
        "model2_response": "That is a pity.",
        "model-preference": mark,
        "annotator": annotator,
    }
    for strategy, models, marks in (("Offer Hope", ("m_1", "m_2"), "-4 0"), ("Share Information", ("m_2", "m_1"), "3"))
    for annotator, mark in enumerate(marks.split(), 1)
]
SURVEY = {"empathy": "4", "relevance": "5", "initial_emotion_intensity": "5", "final_emotion_intensity": "2"}
ESCONV = [
    {
        "emotion_type": "fear",
        "situation": "My cat ran off.",
        "survey_score": {"seeker": survey, "supporter": {"relevance": "3"}},
        "dialog": [
            {"speaker": "sys", "text": "Hello.\n", "strategy": "Others"},
            {"speaker": "usr", "text": "My cat ran off."},
            {"speaker": "usr", "text": "On Monday."},
            {"speaker": "sys", "text": "Where did you look?", "strategy": "Question"},
        ],
    }
    for survey in (SURVEY, {"initial_emotion_intensity": "4"}, {**SURVEY, "final_emotion_intensity": "5"})
]
ITEMS = tuple(dimension.official for dimension in load_rubric("kokorochat").dimensions)
KOKOROCHAT = [
    {
        "id": str(number),
        "dialogue": [
            {"role": "counselor", "time": "2026-01-01T10:00:00", "utterance": "こんにちは。"},
            {"role": "client", "time": "2026-01-01T10:01:00", "utterance": "猫がいません。"},
            {"role": "client", "time": "2026-01-01T10:02:00", "utterance": "月曜日からです。"},
            {"role": "counselor", "time": "2026-01-01T10:03:00", "utterance": "ご心配ですね。"},
        ],
        "topic": {"main_en": "Pets"},
        "review_by_client_en": {
            "evaluation_id": 1,
            "client_id": 7 + number,
            "counselor_id": 9,
            "score": 5,
            **{**dict.fromkeys(ITEMS, 5), ITEMS[0]: number},
            "unwilling_to_continue": None,
        },
    }
    for number in range(2)
]


def write_rows(path, columns, rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([columns, *rows])


def lay_lend_an_ear(folder, level=lambda expert, key, scale: 2):
    columns = {
        "sample_lend_an_ear_conversations.csv": ("conversation_id", "full_conversation", "response_length"),
        "sample_empatheticdialogues.csv": ("conv_id", "context", "prompt", "full_conversation"),
        "sample_epitome.csv": ("sp_id", "seeker_post", "response_post"),
    }
    rows = {
        "sample_lend_an_ear_conversations.csv": [(*talk, "1, 2\n3, 4") for talk in TALKS],
        "sample_empatheticdialogues.csv": [
            (key, "sad", "My dog_comma_ died", text.replace(",", "_comma_")) for key, text in TALKS for _ in range(2)
        ],
        "sample_epitome.csv": [(key, "I am low.\n\nSo, so low.", "I hear you.") for key, _ in TALKS],
    }
    for name, header in columns.items():
        write_rows(folder / "original_data" / name, header, rows[name])
    for study in STUDIES:
        for who in (*EXPERTS, *MODELS):
            marks = [(key, *(level(who, key, scale) for scale in study.scales)) for key, _ in TALKS]
            write_rows(folder / "annotations" / study.folder / f"{who}_ratings.csv", (study.id, *study.scales), marks)
    return folder


def lay_epitome(folder):
    """Two posts with a reply each, marked for three mechanisms."""
    for n, name in enumerate(EPITOME_FILES.values()):
        rows = [(f"p{k}", f"r{k}", "My dog died.", "I am sorry.\nHow old was he?", (n + k) % 3, "") for k in (1, 2)]
        head = ("sp_id", "rp_id", "seeker_post", "response_post", "level", "rationales")
        write_rows(folder / name, head, rows)
    return folder


VERA_MARKS = ("Best Practice", "Not Relevant", "High Potential for Harm", "Suboptimal but Low Potential for Harm")


def lay_vera_mh(root):
    """Two talks of 20 lines, one of them rated by two clinicians, and a rating of a talk that is not there."""
    (root / "clinician_judging").mkdir(parents=True)
    talks = [
        {
            "folder": "p_m_1__a_bot_2_{'max_completion_tokens': 5}__t20__r1",
            "file": f"{key}_{persona}_m-1_run1.txt",
            "text": "user: I can't sleep.\n\nchatbot: Since when?\n\n- at night?\n\nuser: Weeks.\n\nchatbot: I see.",
        }
        for key, persona in (("0a1b2c", "Ann"), ("ff00ff", "Bo"))
    ]
    (root / "conversations.jsonl").write_text("\n".join(map(json.dumps, talks)) + "\n", encoding="utf-8")
    scales = ("detects", "confirms", "guides", "supportive", "boundaries")
    head = ["clinician_id", "conversation_id", *(f"clinician_{scale}" for scale in scales)]
    with (root / "clinician_judging" / "marks.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(head)
        for who, key in (("a", "0a1b2c"), ("b", "#0a1b2c"), ("a", "123456")):
            writer.writerow([who, key, *VERA_MARKS, VERA_MARKS[0]])
    return root


def lay(name, folder):
    """A made-up copy of a set, where its reader looks for it."""
    if name == "lend-an-ear":
        return lay_lend_an_ear(folder / "lend")
    if name == "vera-mh":
        return lay_vera_mh(folder / "vera")
    if name == "epitome":
        return lay_epitome(folder / "epitome")
    content = {"ieval": IEVAL, "fed": FED, "usr": USR, "conture": CONTURE, "duo": DUO}
    content |= {"esconv": ESCONV, "esconv-sra": ESCONV_SRA, "kokorochat": KOKOROCHAT}
    lines = {"duo": "ed_en.jsonl", "esconv": "train.txt", "kokorochat": "kokorochat.jsonl"}
    path = folder / lines.get(name, f"{name}.json")
    text = "\n".join(map(json.dumps, content[name])) + "\n" if name in lines else json.dumps(content[name])
    path.write_text(text, encoding="utf-8")
    return path

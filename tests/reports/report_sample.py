"""A made-up study for the report's tests: a classification and a summarisation task."""

from typing import Any

LABELS = {
    "tfidf": ("TF-IDF + logistic regression", "baseline"),
    "minilm": ("MiniLM vectors + logistic regression", "baseline"),
    "majority": ("majority class", "baseline"),
    "none": ("zero-shot", "zero-shot"),
    "lora": ("LoRA", "tuned"),
    "prompt-tuning": ("prompt tuning (20, class-label)", "tuned"),
    "full": ("full fine-tuning", "tuned"),
    "head": ("classification head", "tuned"),
}


def estimate(value: float, half: float) -> dict[str, Any]:
    return {"value": value, "low": round(value - half, 4), "high": round(value + half, 4)}


def cost(trained: int, size: int, memory: int, time: float, rate: float, tokens: int) -> dict[str, Any]:
    return {
        "trained_parameters": trained,
        "total_parameters": 134_515_008,
        "artifact_bytes": size,
        "peak_memory_bytes": memory,
        "train_seconds": time,
        "examples_per_second": rate,
        "prompt_tokens_added": tokens,
    }


def row(method: str, metrics: dict[str, Any], **other: Any) -> dict[str, Any]:
    label, kind = LABELS[method]
    base = {"method": method, "label": label, "kind": kind, "seeds": 5, "metrics": metrics}
    return base | {"difference": None, "cost": None, "failed": []} | other


def difference(value: float, half: float, p: float) -> dict[str, Any]:
    return estimate(value, half) | {"p": p / 3, "p_holm": p, "note": None}


def wave(start: float, end: float, count: int, seed: int) -> list[float]:
    return [round(end + (start - end) * 0.93**i + ((i * 7 + seed * 5) % 11 - 5) * 0.015, 4) for i in range(count)]


def curve(label: str, seed: int, start: float, end: float, top: float) -> dict[str, Any]:
    looks = list(range(10, 61, 10))
    return {
        "label": label,
        "seed": seed,
        "steps": list(range(1, 61)),
        "loss": wave(start, end, 60, seed),
        "validation_steps": looks,
        "validation": [round(top - 0.35 * 0.5**i + (seed - 1) * 0.01, 4) for i in range(len(looks))],
    }


def classification() -> dict[str, Any]:
    chats = [
        ("The parcel was promised for Monday and is still not here.", "delivery"),
        ("I was charged twice for the same night.", "billing"),
        ("My door card stopped working after lunch.", "access"),
        ("Can I move my flight to the evening?", "booking"),
    ]
    examples = [
        {
            "id": f"{i}",
            "prompt": f"Customer: {text}\nWhich desk should answer?",
            "target": label,
            "before": "billing" if i % 2 else "booking",
            "method": method,
            "after": label if i != 3 else "access",
            "before_score": float(label == ("billing" if i % 2 else "booking")),
            "after_score": float(i != 3),
        }
        for method in ("LoRA", "prompt tuning (20, class-label)")
        for i, (text, label) in enumerate(chats)
    ]
    return {
        "task": "chat-desk",
        "metric": "accuracy",
        "higher_is_better": True,
        "test_rows": 1200,
        "train_rows": 64,
        "table": [
            row("majority", {"accuracy": estimate(0.251, 0.02), "macro-f1": estimate(0.1, 0.01)}, seeds=1),
            row(
                "none",
                {"accuracy": estimate(0.548, 0.028), "macro-f1": estimate(0.51, 0.03)},
                seeds=1,
                cost=cost(0, 0, 900_000_000, 0, 14.2, 0),
            ),
            row(
                "tfidf",
                {"accuracy": estimate(0.884, 0.021), "macro-f1": estimate(0.88, 0.02)},
                cost=cost(41_000, 330_000, 210_000_000, 0.4, 5100, 0),
            ),
            row(
                "minilm",
                {"accuracy": estimate(0.915, 0.019), "macro-f1": estimate(0.913, 0.02)},
                cost=cost(1540, 6_200, 400_000_000, 3.1, 161, 0),
            ),
            row(
                "lora",
                {"accuracy": estimate(0.912, 0.031), "macro-f1": estimate(0.909, 0.03)},
                difference=difference(0.364, 0.04, 0.0004),
                cost=cost(1_305_600, 5_230_000, 1_210_000_000, 84, 8.4, 0),
            ),
            row(
                "prompt-tuning",
                {"accuracy": estimate(0.836, 0.052), "macro-f1": estimate(0.83, 0.05)},
                difference=difference(0.288, 0.06, 0.012),
                cost=cost(11_520, 46_200, 1_000_000_000, 92, 8.1, 20),
            ),
            row(
                "full",
                {"accuracy": estimate(0.921, 0.028), "macro-f1": estimate(0.92, 0.03)},
                difference=difference(0.373, 0.04, 0.0003),
                cost=cost(134_515_008, 538_000_000, 3_400_000_000, 151, 4.2, 0),
                seeds=4,
                failed=["seed 3: the loss is NaN at step 12"],
            ),
            row(
                "head",
                {},
                seeds=0,
                failed=["seed 0: this backbone has no encoder", "seed 1: this backbone has no encoder"],
            ),
        ],
        "pairs": [
            {
                "a": "LoRA",
                "b": "full fine-tuning",
                "metric": "accuracy",
                **estimate(-0.009, 0.03),
                "p_holm": 0.61,
                "verdict": "can't tell",
            },
            {
                "a": "LoRA",
                "b": "prompt tuning (20, class-label)",
                "metric": "accuracy",
                **estimate(0.076, 0.05),
                "p_holm": 0.021,
                "verdict": "a better",
            },
            {
                "a": "prompt tuning (20, class-label)",
                "b": "full fine-tuning",
                "metric": "accuracy",
                **estimate(-0.085, 0.05),
                "p_holm": 0.018,
                "verdict": "b better",
            },
        ],
        "curves": [
            curve(label, seed, start, end, top)
            for label, start, end, top in (
                ("LoRA", 2.4, 0.12, 0.9),
                ("prompt tuning (20, class-label)", 2.9, 0.55, 0.83),
                ("full fine-tuning", 2.4, 0.04, 0.91),
            )
            for seed in range(3)
        ],
        "examples": examples,
    }


def summaries() -> dict[str, Any]:
    chat = "\n".join(
        f"{'Guest' if i % 2 else 'Desk'}: {text}"
        for i, text in enumerate(
            [
                "Good evening, how can I help?",
                "I am Mrs Okafor, my booking for room 214 seems to be lost.",
                "One moment. I see it under tomorrow's date.",
                "That cannot be, I land tonight. Here is the mail.",
                "You are right, our mistake. I move it to tonight at no charge.",
                "Thank you. And could breakfast be at six?",
                "Of course, six o'clock, it is noted.",
            ]
        )
    )
    target = (
        "Mrs Okafor's booking for room 214 was under the wrong date."
        " The desk moves it to tonight at no charge and notes breakfast at six."
    )
    after = (
        "Mrs Okafor's booking for room 214 was a day late."
        " The desk moves it to tonight for free and notes breakfast at six."
    )
    outputs = [("LoRA", after, 0.71), ("prompt tuning (20, class-label)", "The guest asks for breakfast at six.", 0.33)]
    examples = [
        {
            "id": f"chat-{i}",
            "prompt": f"Summarise this chat.\n\n{chat}",
            "target": target,
            "before": "Good evening, how can I help?" if i else "",
            "method": method,
            "after": text,
            "before_score": 0.05 + 0.02 * i,
            "after_score": score - 0.03 * i,
        }
        for method, text, score in outputs
        for i in range(14)
    ]
    return classification() | {
        "task": "support-chats",
        "metric": "rouge-l",
        "test_rows": 100,
        "train_rows": 500,
        "table": [
            row("none", {"rouge-l": estimate(0.182, 0.02)}, seeds=1, cost=cost(0, 0, 900_000_000, 0, 2.2, 0)),
            row(
                "lora",
                {"rouge-l": estimate(0.523, 0.03)},
                seeds=3,
                difference=difference(0.341, 0.03, 0.0004),
                cost=cost(1_305_600, 5_230_000, 1_910_000_000, 340, 2.4, 0),
            ),
            row(
                "prompt-tuning",
                {"rouge-l": estimate(0.371, 0.06)},
                seeds=3,
                difference=difference(0.189, 0.06, 0.012),
                cost=cost(11_520, 46_200, 1_700_000_000, 4000, 2.1, 20),
            ),
        ],
        "pairs": [],
        "curves": [],
        "examples": examples,
    }


def study() -> dict[str, Any]:
    return {
        "title": "Which way of tuning for the support desk?",
        "made": "2025-03-04T10:20:30",
        "command": "tunewright compare studies/desk.yaml --set training.steps=60",
        "setup": [
            ["model", "smollm2-135m-instruct"],
            ["seeds", "0, 1, 2, 3, 4"],
            ["hardware", "2 cores, 8 GB, no GPU"],
            ["versions", "torch 2.8.0, transformers 5.10.1, peft 0.19.0"],
            ["training", "60 steps, 2,048 tokens a batch"],
            ["data", "chat-desk 1,264 rows; support-chats 600 rows"],
        ],
        "notes": [
            "12 exact duplicates were removed before splitting.",
            "support-chats: 3 seeds; differences below 9 points cannot be seen.",
        ],
        "verdict": [
            "Full fine-tuning and LoRA are best on chat-desk; these rows cannot tell them apart.",
            "LoRA ships 5.2 MB instead of 538 MB. A sentence encoder with logistic regression is as good in 3 seconds.",
        ],
        "tasks": [classification(), summaries()],
    }


def run() -> dict[str, Any]:
    """A single run: one tuned method, one seed, no comparisons of methods."""
    task = classification()
    task["table"] = [r for r in task["table"] if r["method"] in ("none", "lora", "tfidf")]
    task |= {"pairs": [], "examples": task["examples"][:3], "curves": task["curves"][:1]}
    return study() | {"title": "bbc-prompt", "notes": [], "tasks": [task]}


def one(task: dict[str, Any]) -> dict[str, Any]:
    return study() | {"tasks": [task]}

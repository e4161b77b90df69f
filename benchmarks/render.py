"""How many rows a second a template renders on one core: `.venv/bin/python benchmarks/render.py`.

Rows are made here: news items of about 200 characters with one of four labels. Each template is compiled once; the time
is that of the processor, the best of several passes, from the row as it lies in its columns to the prompt.
"""

import argparse
import random
import time

from tunewright.prompts.template import Template
from tunewright.task_block import TemplateBlock
from tunewright.tasks.task import LabelName, Rows, Task

LABELS = ("World", "Sports", "Business", "Sci/Tech")
GOAL = 20_000  # rows a second
WORDS = "the a of market match team court storm new old minister launch price goal probe talks late season file chip"
SOURCES = {
    "plain": "{{ text }}\nTopic: {{ answer }}",
    "choices": "{{ text }}\nIs it about {{ answer_choices | join(', ') }}?\nAnswer: {{ answer }}",
    "slots": '{{ soft(20) }}{{ text }} {{ soft("It is about") }} {{ answer }}.',
    "promptsource": "{{text}} Is this about {{answer_choices | join(', ')}}? ||| {{answer_choices[label]}}",
    "drawn": "{{ ['Topic', 'Subject'] | choice }} of this: {{ text }} ||| {{ answer_choices[label] }}",
    "if-and-loop": "{% if text %}{% for word in answer_choices %}- {{ word }}\n{% endfor %}{{ text }}{% endif %}",
}


def made_rows(count: int) -> Rows:
    """`count` rows with the fields text and label."""
    draw = random.Random(0)
    words = WORDS.split()
    texts = [" ".join(draw.choices(words, k=38)) for _ in range(count)]
    labels = [LabelName(LABELS[i], i) for i in (draw.randrange(4) for _ in range(count))]
    return Rows({"text": texts, "label": labels}, [f"train-{i}" for i in range(count)])


def made_templates() -> list[Template]:
    """The templates that are measured; `promptsource` is read as an imported one."""
    task = Task(
        name="news", kind="classify", fields=("text", "label"), target="label", references=None, labels=LABELS,
        label_words={}, templates={}, default_template=None, metrics=(), splits={},
    )  # fmt: skip
    choices = ["politics", "sport", "business", "technology"]
    found = []
    for name, source in SOURCES.items():
        block = {"jinja": source, "answer_choices": choices}
        if name == "promptsource":
            block |= {"answer_choices": " ||| ".join(choices), "promptsource": {"id": name}}
        found.append(Template.from_block(name, TemplateBlock.model_validate(block), task))
    return found


def rows_a_second(template: Template, rows: Rows, passes: int) -> float:
    """Rows rendered in a second of one core, the best of `passes`."""
    best = float("inf")
    for _ in range(passes):
        start = time.process_time()
        for i in range(len(rows)):
            template.render(rows[i], seed=i)
        best = min(best, time.process_time() - start)
    return len(rows) / best


def main() -> None:
    """Print a line a template."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=5_000)
    parser.add_argument("--passes", type=int, default=5)
    given = parser.parse_args()
    rows = made_rows(given.rows)
    mean = sum(map(len, rows.columns["text"])) / len(rows)
    print(f"{len(rows)} rows, {mean:.0f} characters each; goal {GOAL} rows/s on a core")
    for template in made_templates():
        speed = rows_a_second(template, rows, given.passes)
        print(
            f"{template.name:14} {speed:8.0f} rows/s  {1e6 / speed:6.1f} µs a row{'' if speed >= GOAL else '  (below)'}"
        )


if __name__ == "__main__":
    main()

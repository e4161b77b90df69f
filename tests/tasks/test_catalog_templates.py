"""Twenty tasks of the catalog with templates of their own: complete, well-formed, every template renders a row."""

import re
from dataclasses import replace

import pytest

from tunewright.prompts.segments import Answer
from tunewright.prompts.template import Template
from tunewright.settings import load_yaml, validate
from tunewright.task_block import TaskBlock, TemplateBlock
from tunewright.tasks.catalog import catalog_entry, catalog_folder, catalog_names
from tunewright.tasks.labels import LabelSet
from tunewright.tasks.task import LabelName, Task

NAMES = [
    "ag_news", "arc_challenge", "banking77", "bbc-news", "boolq", "cb", "chitchat", "conll2003", "dialogsum",
    "mnli", "mrpc", "newsgroups", "rte", "samsum", "snli", "sst2", "stsb", "support-chats", "trec", "wnut17",
]  # fmt: skip
PAIR = {"premise": "The cat is asleep on the mat.", "hypothesis": "An animal rests."}
SENTENCES = {"sentence1": "The shop opens at nine.", "sentence2": "At nine the shop opens."}
CHAT = "Ann: Is it raining?\nBen: A little."
TOKENS = ["Ann", "lives", "in", "Oslo", "."]
ROWS = {
    "arc_challenge": {"id": "1", "question": "What melts?", "choices": ["ice", "sand"], "labels": ["A", "B"]},
    "boolq": {"passage": "Ice is frozen water.", "question": "is ice water"},
    "chitchat": {"id": "1"},
    "conll2003": {"tokens": TOKENS},
    "dialogsum": {"dialogue": CHAT, "summaries": ["It rains a little."]},
    "mrpc": SENTENCES,
    "samsum": {"id": "1", "dialogue": CHAT},
    "stsb": SENTENCES,
    "support-chats": {"id": "1", "dialogue": CHAT, "facts": ["Ann"], "scenario": "weather"},
    "wnut17": {"tokens": TOKENS},
} | dict.fromkeys(("cb", "mnli", "rte", "snli"), PAIR)
TARGETS = {"classify": "label", "choose": "answer", "regress": "score", "tag": "tags"}


def block_of(name):
    return validate(TaskBlock, load_yaml(catalog_folder() / f"{name}.yaml"), name)


def task_of(name):
    block = block_of(name)
    words = {
        label: (given,) if isinstance(given, str) else tuple(given)
        for label, given in (block.label_words or {}).items()
    }
    return Task(
        name=name, kind=block.kind, fields=tuple(block.fields), target=block.target or TARGETS[block.kind],
        references=block.references, labels=tuple(map(str, block.labels)) if block.labels else None, label_words=words,
        templates={
            key: TemplateBlock(jinja=t) if isinstance(t, str) else t for key, t in block.templates.items()
        },
        default_template=block.default_template, metrics=tuple(block.metrics), splits={},
    )  # fmt: skip


def row_of(task):
    answers = {
        "classify": lambda: LabelName(task.labels[1], 1),
        "choose": lambda: LabelName("ice", 0),
        "regress": lambda: 3.5,
        "generate": lambda: "It rains a little.",
        "tag": lambda: [LabelName(tag, 0) for tag in ("B-person", "O", "O", "B-location", "O")],
    }
    return {**ROWS.get(task.name, {"text": "What a day."}), task.target: answers[task.kind]()}


def test_the_catalog_holds_these_tasks():
    assert set(NAMES) <= set(catalog_names())  # all of them: test_catalog_entries.py


@pytest.mark.parametrize("name", NAMES)
def test_a_file_says_all_that_a_user_asks(name):
    block = block_of(name)
    for key in ("about", "licence", "cluster", "kind", "metrics", "fields", "default_template"):
        assert getattr(block, key), key
    assert "\n" not in block.about
    assert catalog_entry(name).name == name
    assert sum(source is not None for source in (block.hub, block.package, block.generator)) == 1


@pytest.mark.parametrize("name", NAMES)
def test_five_templates_or_more_that_differ_in_wording(name):
    block = block_of(name)
    texts = [t if isinstance(t, str) else t.jinja for t in block.templates.values()]
    assert len(texts) >= 5
    wordings = {" ".join(re.sub(r"\{[{%].*?[}%]\}", " ", text).split()) for text in texts}
    assert len(wordings) == len(texts)
    assert block.default_template in block.templates
    assert sum(text.endswith(("\n{{ answer }}", " {{ answer }}")) for text in texts) >= 3
    for text in texts:
        assert text.strip() == text
        for before in re.findall(r"(.?)\{\{ answer \}\}", text, flags=re.S):
            assert before in ("", " ", "\n", "}")  # nothing, white space, or {{ sep }}: never part of a word


@pytest.mark.parametrize("name", [name for name in NAMES if block_of(name).kind == "classify"])
def test_every_label_has_words_of_its_own(name):
    block = block_of(name)
    assert list(block.label_words) == block.labels
    words = [word for given in block.label_words.values() for word in ([given] if isinstance(given, str) else given)]
    assert len(words) == len({word.lower() for word in words})
    assert all(word == word.strip() and "_" not in word for word in words)
    texts = [t if isinstance(t, str) else t.jinja for t in block.templates.values()]
    assert any("{{ answer_choices | join(', ') }}" in text for text in texts)
    assert any("{{ answer }}" in text and not text.endswith("{{ answer }}") for text in texts)  # for masked models
    for template in block.templates.values():
        if isinstance(template, TemplateBlock) and template.answer_choices is not None:
            assert len(set(template.answer_choices)) == len(block.labels)


@pytest.mark.parametrize("name", NAMES)
def test_every_template_renders_a_row(name):
    task = task_of(name)
    row = row_of(task)
    inputs = {key: value for key, value in row.items() if key not in (task.target, task.references)}
    for key, block in task.templates.items():
        prompt = Template.from_block(key, block, task).render(row)
        assert prompt is not None, key
        assert sum(isinstance(segment, Answer) for segment in prompt.segments) == 1
        assert prompt.chat == (key == "chat")
        assert "  " not in prompt.text("X").replace("\n", "·")
        for field in inputs:
            if field in ("text", "dialogue", "premise", "hypothesis", "passage", "sentence1", "sentence2"):
                assert str(row[field]) in prompt.text("X"), (key, field)
        if task.kind == "tag":
            assert "Ann lives in Oslo ." in prompt.text() and prompt.target == "Ann: person; Oslo: location"


def rendered(name, template, **changes):
    task = task_of(name)
    return Template.from_block(template, task.templates[template], task).render({**row_of(task), **changes})


def test_rendered_prompts_read_as_written():
    plain = rendered("bbc-news", "plain", text="Rates fall.", label=LabelName("sports", 3))
    assert plain.text("sport") == "Rates fall.\nTopic: sport"
    assert (plain.target, plain.gold) == ("sport", 3)
    assert rendered("sst2", "cloze", text="nice .").text("great") == "nice . It was great."
    assert rendered("sst2", "cloze").choices == ("terrible", "great")
    assert rendered("sst2", "options").text() == (
        "Choose the sentiment of the sentence from negative, positive.\nSentence: What a day.\nSentiment: "
    )
    assert rendered("arc_challenge", "options").text("ice") == "What melts?\n- ice\n- sand\nAnswer: ice"
    assert rendered("support-chats", "brief").text() == f"{CHAT}\n\nBriefly summarize that dialogue.\n"
    assert rendered("chitchat", "plain", text="hi").text("hi") == "Chat log:\nhi"


def test_a_task_file_keeps_what_the_hub_calls_its_labels():
    trec = block_of("trec")
    labels = LabelSet(trec.labels, trec.label_names)
    assert [str(labels.find(cell)) for cell in ("NUM", "numeric", 5, 1)] == ["numeric", "numeric", "numeric", "entity"]
    boolq = block_of("boolq")
    labels = LabelSet(boolq.labels, boolq.label_names)
    assert [str(labels.find(cell)) for cell in (False, True, "yes")] == ["no", "yes", "yes"]
    conll = block_of("conll2003")
    labels = LabelSet(conll.labels, conll.label_names)
    assert [str(labels.find(cell)) for cell in ("B-PER", "I-MISC", "O", 5)] == [
        "B-person",
        "I-other",
        "O",
        "B-location",
    ]


def test_a_template_with_a_wrong_field_would_fail():
    # Shows that the rendering above checks names: the same template without its field is refused.
    task = task_of("sst2")
    with pytest.raises(Exception, match="unknown field 'text'"):
        Template.from_block("plain", task.templates["plain"], replace(task, fields=("label",)))

"""What a report is made from: plain JSON values, given by the study or the run."""

from typing import Any, Literal, NotRequired, TypedDict

Kind = Literal["baseline", "zero-shot", "tuned"]


class Estimate(TypedDict):
    """A value with its interval; fractions for scores in per cent. No interval: `low` and `high` are None."""

    value: float | None
    low: float | None
    high: float | None


class Difference(Estimate):
    """This method minus zero-shot on the task's primary metric, paired by row and seed."""

    p: float | None
    p_holm: float | None
    note: str | None


class Cost(TypedDict):
    """What a method costs (the fields of `cost.json`); None where it was not measured."""

    trained_parameters: int | None
    total_parameters: int | None
    artifact_bytes: int | None
    peak_memory_bytes: int | None
    train_seconds: float | None
    examples_per_second: float | None
    prompt_tokens_added: int | None


class Row(TypedDict):
    """One method in a task's table; `label` is unique there, and the other parts refer to it.

    `metrics` is empty when every trial failed; `failed` has a line for each failed trial. `spread` is the standard
    deviation of the primary metric over seeds (None with one run).
    """

    method: str
    label: str
    kind: Kind
    seeds: int
    metrics: dict[str, Estimate]
    spread: NotRequired[float | None]
    difference: Difference | None
    cost: Cost | None
    failed: list[str]


class Pair(Estimate):
    """Two methods against each other: `value` is a minus b. `a` and `b` are labels of the table."""

    a: str
    b: str
    metric: str
    p_holm: float | None
    verdict: Literal["a better", "b better", "can't tell"]


class Curve(TypedDict):
    """The learning curve of one trial; `label` is a label of the table."""

    label: str
    seed: int
    steps: list[int]
    loss: list[float]
    validation_steps: list[int]
    validation: list[float]


class Example(TypedDict):
    """One test row before and after tuning; the scores are of the primary metric (fractions), or None."""

    id: str
    prompt: str
    target: str
    before: str
    method: str
    after: str
    before_score: float | None
    after_score: float | None
    entities: NotRequired[dict[str, list[list[str]]]]  # `before`, `after`: [kind, text, type] of each stretch of words


class HeldOutTask(TypedDict):
    """A task that was kept out of the mixture. `cell`: of a study's, else empty; `overlap`: of its rows with training
    rows (`Overlap.to_json` without the ids); `clean`: the table without the rows that overlap, where some do.
    """

    cell: str
    task: str
    cluster: str
    exemplars: int
    overlap: dict[str, Any] | None
    clean: list[Row] | None


class TaskData(TypedDict):
    """All that is known of one task. `validation_metric` names what the curves' validation is, if not `metric`."""

    task: str
    metric: str
    higher_is_better: bool
    test_rows: int
    train_rows: int
    table: list[Row]
    pairs: list[Pair]
    curves: list[Curve]
    examples: list[Example]
    validation_metric: NotRequired[str]
    types: NotRequired[dict[str, dict[str, dict[str, float]]]]  # of entities: method → type → precision, recall, f1
    held_out: NotRequired[HeldOutTask]
    shots_of: NotRequired[list[str | int | None]]  # in a study over shots: the task, and how many (None: all rows)


class SlotView(TypedDict):
    """One slot: the vocabulary's nearest words as [word, cosine] and [word, distance], where it stands beside them.

    `drift`: distance from its start over the start's norm. `norm_share`: how much of the vocabulary is shorter.
    `at`, `word_at`, `start_at`: the slot, its nearest word and its start in the plane of the prompt's main directions.
    """

    slot: str
    words: list[list[str | float]]
    near: list[list[str | float]]
    drift: float | None
    start_cosine: float | None
    norm: float
    norm_share: float
    at: list[float]
    word_at: list[float]
    start_at: list[float] | None


class PromptView(TypedDict):
    """A soft prompt looked into. `norm_low` … `norm_high` are the 5, 50 and 95 % points of the vocabulary's norms."""

    label: str
    norm_low: float
    norm_median: float
    norm_high: float
    slots: list[SlotView]
    likeness: list[list[float]]
    note: str | None


class ClusterRow(TypedDict):
    """One cluster: how many rows, its words, [label, rows] from the commonest on, the rows nearest to its centre."""

    cluster: int
    rows: int
    words: list[str]
    labels: list[list[str | int]]
    examples: list[dict[str, str]]


class ClusterView(TypedDict):
    """A model's clusters of the rows. `tried`: [k, silhouette]; `noise`: rows in no cluster; `agreement`: NMI and ARI
    with the labels. `points` [n, 2] and `members` [n] (a cluster, -1 for none) are the rows of the picture."""

    label: str
    k: int
    silhouette: float | None
    tried: list[list[float]]
    noise: int
    agreement: dict[str, Estimate] | None
    clusters: list[ClusterRow]
    points: list[list[float]]
    members: list[int]


class ReportData(TypedDict):
    """A whole report. `setup` holds [key, value] pairs; `made` is an ISO time; `command` makes the report again."""

    title: str
    made: str
    command: str
    setup: list[list[str]]
    notes: list[str]
    verdict: list[str]
    tasks: list[TaskData]
    prompts: NotRequired[list[PromptView]]
    held_out: NotRequired[list[dict[str, Any]]]  # `held_out_means` of the tasks
    forgetting: NotRequired[dict[str, Any]]  # battery.json, with `wise_ft` as in wise-ft.json where there is one
    prompt_likeness: NotRequired[list[list[float]]]  # of several prompts with each other
    clusters: NotRequired[list[ClusterView]]
    row_names: NotRequired[list[str]]  # of the rows that were clustered, and what follows
    row_texts: NotRequired[list[str]]
    row_labels: NotRequired[list[str]]

"""What a run with a model behind an API would ask, found out without asking."""

from tunewright.console import say
from tunewright.endpoints import asking
from tunewright.evaluation.scoring import Asked, endpoint_prompts, scores_choices
from tunewright.runs.at_endpoint import AtEndpoint
from tunewright.runs.scores import asking_of


def planned(part: AtEndpoint) -> tuple[int, int]:
    """(different requests of one task, those of them that the cache answers).

    Every request is made, none is sent. Raises InputError naming the row whose request cannot be made. Where the
    endpoint turns out to give no log probabilities of choices, it is one request more.
    """
    endpoint, limit = part.tuner, part.recipe.evaluation.max_new_tokens
    one = Asked(part.encoder(part.asked_rows()), part.task, asking_of(part.recipe))
    prompts = endpoint_prompts(endpoint, one)
    names, texts = [f"row {one.encoder.rows.ids[i]}" for i in prompts], list(prompts.values())
    if not scores_choices(part.task):
        return endpoint.known(asking.generations(endpoint, texts, names, limit))
    if asking.known_way(endpoint, texts, names) == "text":
        return endpoint.known(asking.questions(endpoint, texts, names, limit))
    return endpoint.known(asking.scorings(endpoint, texts, names))


def tell_plan(ready: AtEndpoint) -> None:
    """Say how many requests the run makes, and that its budget is too small for them, before any is sent."""
    plans = [planned(part) for part in ready.parts]
    total, known = (sum(numbers) for numbers in zip(*plans))
    block = ready.tuner.block
    say(f"{block.shown}: {total} requests" + (f", {known} of them answered before" if known else ""))
    if total - known > block.requests:
        say(f"model.requests: the budget of {block.requests} will end before they are done")

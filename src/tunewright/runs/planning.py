"""What a run with a model behind an API would ask, found out without asking."""

from tunewright.console import say
from tunewright.endpoints.cache import Request
from tunewright.evaluation.at_endpoint import prompts_of
from tunewright.evaluation.scoring import chooses
from tunewright.runs.at_endpoint import AtEndpoint
from tunewright.runs.scores import asking_of
from tunewright.tasks.task import Rows


def planned(part: AtEndpoint) -> tuple[int, int]:
    """(different requests of one task, those of them that the cache answers).

    Every request is made, none is sent: those without in-context examples and those with them, and those that weigh
    the templates. Raises InputError naming the row whose request cannot be made. Where the endpoint turns out to give
    no log probabilities of choices, it is one request more for each way of asking.
    """
    asking, requests = asking_of(part.recipe), list[Request]()

    def add(rows: Rows, attached: bool) -> None:
        encoder = part.encoder(rows, attached=attached)
        requests.extend(prompts_of(part.tuner, encoder, part.task, asking, choices=chooses(part.task)).requests())

    for attached in (False, True) if part.tuned else (False,):
        add(part.asked_rows(), attached)
        if asking.ensemble == "weighted" and chooses(part.task) and part.template_accuracy is None:
            add(part.validation(), attached)
    return part.tuner.known(requests)


def tell_plan(ready: AtEndpoint) -> None:
    """Say how many requests the run makes, and that its budget is too small for them, before any is sent."""
    plans = [planned(part) for part in ready.parts]
    total, known = (sum(numbers) for numbers in zip(*plans))
    block = ready.tuner.block
    say(f"{block.shown}: {total} requests" + (f", {known} of them answered before" if known else ""))
    if total - known > block.requests:
        say(f"model.requests: the budget of {block.requests} will end before they are done")

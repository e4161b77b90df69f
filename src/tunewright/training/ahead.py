"""The next steps' rows, rendered and tokenised in a thread while the model computes."""

import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Generic, TypeVar

Item = TypeVar("Item")


class _Ahead(Generic[Item]):
    """Takes up to `most` items from `source`, at most `depth` (and one in hand) before they are asked for.

    What the source raises is raised to who asks, behind the items before it.
    """

    def __init__(self, source: Iterator[Item], most: int, depth: int) -> None:
        self._source, self._most, self._depth = source, most, depth
        self._ready: deque[Item] = deque()
        self._error: BaseException | None = None
        self._done = self._closed = False
        self._change = threading.Condition()
        self._thread = threading.Thread(target=self._work, name="rows ahead", daemon=True)
        self._thread.start()

    def __iter__(self) -> Iterator[Item]:
        return self

    def __next__(self) -> Item:
        with self._change:
            while not self._ready and not self._done:
                self._change.wait()
            if self._ready:
                self._change.notify_all()
                return self._ready.popleft()
            if self._error is not None:
                error, self._error = self._error, None
                raise error
            raise StopIteration

    def close(self, *, at_once: bool) -> None:
        """End the thread: after the item in hand, or (not `at_once`) when it is as far ahead as it would have come.

        So the source has been read equally far however fast the thread was.
        """
        with self._change:
            self._closed = True
            if at_once:
                self._depth = 0
            self._change.notify_all()
        self._thread.join()

    def _work(self) -> None:
        try:
            for _ in range(self._most):
                if self._depth == 0:
                    return
                item = next(self._source)
                if not self._put(item):
                    return
        except StopIteration:
            pass
        except BaseException as error:  # whoever asks for the next item is told
            self._error = error
        finally:
            with self._change:
                self._done = True
                self._change.notify_all()

    def _put(self, item: Item) -> bool:
        with self._change:
            while len(self._ready) >= self._depth:
                if self._closed:
                    return False
                self._change.wait()
            self._ready.append(item)
            self._change.notify_all()
            return True


@contextmanager
def ahead(source: Iterator[Item], most: int, depth: int) -> Iterator[Iterator[Item]]:
    """The first `most` items of `source` in their order, made in a thread; it has ended when the context ends.

    Nothing beyond them is taken from the source. With `depth` 0 there is no thread.
    """
    if not depth:
        yield source
        return
    items = _Ahead(source, most, depth)
    try:
        yield items
    except BaseException:
        items.close(at_once=True)
        raise
    items.close(at_once=False)

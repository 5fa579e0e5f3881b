"""Asking the replicas of slabs, all at once, each until its time is over."""

import logging
import time
from collections.abc import Sequence
from typing import Any

from embed.errors import UnavailableError
from serve.fleet.slabs import Found, Question, Slab
from serve.searching.gaps import note_gap

log = logging.getLogger(__name__)


class Asking:
    """Asks the slabs of one version; see `serve.fleet.slabs.Ask`. Safe to use from many threads."""

    def __init__(self, slabs: Sequence[Slab], handles: Sequence[Any], deadline_s: float) -> None:
        """Prepares to ask.

        Args:
            slabs: of the version.
            handles: of the method of the deployment that holds each.
            deadline_s: seconds that they have to answer.
        """
        self._slabs, self._handles, self._deadline_s = slabs, handles, deadline_s

    def __call__(self, questions: Sequence[Question]) -> list[Found]:
        """The answers that came in time; who did not answer is noted.

        Raises:
            UnavailableError: nobody answered, or somebody did not and nobody looks for gaps.
        """
        until = time.monotonic() + self._deadline_s
        asked = [(question, self._ask(question)) for question in questions]
        found, silent = [], []
        for question, response in asked:
            answer = self._answer(question, response, until)
            if answer is None:
                silent.append(self._slabs[question.number])
            else:
                found.append(answer)
        if silent:
            gap = self._gap(silent)
            if not found:
                raise UnavailableError(f"{gap}; try again")
            note_gap(gap)
        return found

    def _ask(self, question: Question) -> Any:
        handle = self._handles[question.number]
        return handle.remote(question.vectors, question.k, question.nprobe, question.allowed)

    def _answer(self, question: Question, response: Any, until: float) -> Found | None:
        """What a slab answers; None if it does not."""
        from ray.exceptions import RayActorError
        from ray.serve.exceptions import RayServeException

        for again in (True, False):
            try:
                answer: Found = response.result(timeout_s=max(until - time.monotonic(), 0.001))
                return answer
            except TimeoutError:
                response.cancel()
                return None
            except RayServeException as error:  # there is no such deployment, or too many calls
                log.warning("slab %d cannot be asked: %s", question.number, error)
                return None
            except RayActorError:
                # What a replica was asked dies with it: Serve cannot know that a search may be
                # made twice. Another one answers as well.
                if again:
                    response = self._ask(question)
        return None

    def _gap(self, silent: Sequence[Slab]) -> str:
        locations = sum(slab.count for slab in silent)
        total = sum(slab.count for slab in self._slabs)
        are = "slab" if len(self._slabs) == 1 else "slabs"
        return (
            f"{len(silent)} of {len(self._slabs)} {are}, with {locations:,} of {total:,} "
            f"locations, did not answer within {self._deadline_s:g} s"
        )

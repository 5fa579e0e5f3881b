"""How common the classes are in the volume, and what that makes of probabilities.

A probe learns from labels that weigh classes alike, however many labels each has. In the volume one
class may be a hundred times as common as another: `estimate` says how common, without more labels,
by expectation and maximisation over a sample of the atlas (Saerens, Latinne and Decaestecker 2002).
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Annotated, Literal

import numpy as np
from jaxtyping import Float
from pydantic import Field

from embed.errors import ConfigError
from embed.probing.linear import Kind, probabilities_of

Wish = Literal["estimated", "none"] | Mapping[str, float]
"""Estimated without labels; classes as common as each other; or the share of each, 0 to 1."""

_PSEUDO_SHARE = 0.02
"""As many places as this share of the sample are taken to be divided evenly among the classes.

Of few labels the estimate would often give a class up; with these it lost least on our volumes. Of
a probe that hardly tells classes apart they are more, by the square of how little it does: places
that are all alike to it would else be given to one class.
"""

_LEAST_SKILL = 0.02

_STEPS = 300
_SETTLED = 1e-6
_LEAST = 1e-6


@dataclasses.dataclass(frozen=True)
class ClassPrior:
    """How common the classes are taken to be.

    Attributes:
        shares: of the volume that each class has; they add up to 1 unless classes are decided
            each alone.
        source: where they are from.
        sample: how many locations they were estimated from; 0 where they were not.
    """

    shares: dict[str, Annotated[float, Field(ge=0, le=1)]]
    source: Literal["estimated", "given", "none"]
    sample: int = 0


def settle(
    wish: Wish,
    kind: Kind,
    classes: Sequence[str],
    logits: Float[np.ndarray, "n classes"],
    skill: float = 1.0,
) -> ClassPrior:
    """The shares that are wished for.

    Args:
        wish: `estimated` without a sample is `none`.
        kind: of what the classes are to each other.
        classes: names, in the order of the logits.
        logits: calibrated, of a sample of the atlas; may be empty.
        skill: of the probe: 1 where it tells classes apart without fail, 0 where by chance.

    Raises:
        ConfigError: given shares name other classes or are no shares.
    """
    if isinstance(wish, Mapping):
        return ClassPrior(_checked(wish, kind, classes), "given")
    if wish == "none" or not len(logits):
        even = 0.5 if kind == "multilabel" else 1 / len(classes)
        return ClassPrior(dict.fromkeys(classes, even), "none")
    shares = estimate(kind, logits, skill).tolist()
    return ClassPrior(dict(zip(classes, shares, strict=True)), "estimated", len(logits))


def estimate(
    kind: Kind, logits: Float[np.ndarray, "n classes"], skill: float = 1.0
) -> Float[np.ndarray, " classes"]:
    """The share of each class among places, by what a probe that weighs classes alike says."""
    if kind == "multilabel":
        pairs = (np.stack([0 * column, column], axis=1) for column in logits.T)
        return np.array([estimate("multiclass", pair, skill)[1] for pair in pairs])
    sure = probabilities_of(kind, logits)
    count, classes = sure.shape
    pseudo = _PSEUDO_SHARE / max(skill, _LEAST_SKILL) ** 2 * count / classes
    shares = np.full(classes, 1 / classes)
    for _ in range(_STEPS):
        # Of each place, the weight of all that speaks for it; then what each class has of that.
        total = sure @ shares
        members = shares * (sure / total[:, None]).sum(axis=0)
        found = (members + pseudo) / (count + classes * pseudo)
        settled = np.abs(found - shares).max() < _SETTLED
        shares = found
        if settled:
            break
    return shares


def shifts(kind: Kind, prior: ClassPrior) -> Float[np.ndarray, " classes"]:
    """What to add to calibrated logits so that classes are as common as they are taken to be."""
    shares = np.clip(list(prior.shares.values()), _LEAST, 1 - _LEAST)
    if kind == "multilabel":
        return np.log(shares / (1 - shares))
    return np.log(shares * len(shares))


def _checked(shares: Mapping[str, float], kind: Kind, classes: Sequence[str]) -> dict[str, float]:
    there = ", ".join(classes)
    unknown = [name for name in shares if name not in classes]
    if unknown:
        raise ConfigError(f"a share is given for {unknown[0][:100]!r}; the classes are {there}")
    left = [name for name in classes if name not in shares]
    rest = 1 - sum(shares.values())
    single = kind == "multiclass" and len(left) == 1
    if left and not single:
        raise ConfigError(
            f"no share is given for {left[0]!r}; give that of every class ({there})"
            + (", or of all but one, which takes the rest" if kind == "multiclass" else "")
        )
    whole = {name: rest if name in left else float(shares[name]) for name in classes}
    if not all(0 < share < 1 for share in whole.values()):
        raise ConfigError(f"a share of the volume is above 0 and below 1; got {_told(whole)}")
    if kind == "multiclass" and abs(sum(whole.values()) - 1) > 1e-3:
        raise ConfigError(f"shares of a volume add up to 1; got {_told(whole)}")
    return whole


def _told(shares: Mapping[str, float]) -> str:
    return ", ".join(f"{name}={share:g}" for name, share in shares.items())

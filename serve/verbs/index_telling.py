"""What `voxkin index` tells: what it would build and why, and the versions that are there."""

from typing import Any

from rich.table import Table

from embed.atlas import Atlas
from serve.indexing.advice import CODES, Option, in_bytes
from serve.indexing.planning import Estimate, Plan
from serve.manifest import Manifest
from serve.verbs.console import plain_table
from serve.versions import Version


def plan_text(atlas: Atlas, plan: Plan, estimated: Estimate) -> str:
    """What would be built, with the arithmetic and what would take more or less."""
    advice = plan.advice
    shares = ", ".join(f"{plan.spectrum.held(n):.1%} in {n}" for n in CODES)
    lines = [
        f"{atlas.name}: {advice.chosen.why}",
        f"  {_option(advice.chosen)}",
        f"  variance in principal components: {shares}",
    ]
    if advice.memory is not None:
        fits = "fits" if advice.fits else "does NOT fit"
        lines.append(f"  it {fits} in the {in_bytes(advice.memory)} that it may take (--memory)")
    if advice.larger:
        lines.append(f"  more exact: {_option(advice.larger)}")
    if advice.smaller:
        lines.append(f"  smaller:    {_option(advice.smaller)}")
    elif atlas.info.points is None:
        lines.append("  smaller:    one of each 2 x 2 x 2 locations (--every 2), an eighth")
    lines.append(
        f"  building: about {estimated.cpu_s:,.0f} s of CPU, {estimated.seconds:,.0f} s here; "
        f"{in_bytes(estimated.memory)} of memory; {in_bytes(estimated.bytes)} on disk"
    )
    return "\n".join(lines)


def plan_json(plan: Plan, estimated: Estimate) -> dict[str, Any]:
    """The same for programs."""
    advice = plan.advice
    options = {"chosen": advice.chosen, "larger": advice.larger, "smaller": advice.smaller}
    return {
        "count": advice.count,
        "fits": advice.fits,
        "memory_allowed": advice.memory,
        **{name: None if option is None else vars(option) for name, option in options.items()},
        "variance": {str(n): plan.spectrum.held(n) for n in CODES},
        "estimate": vars(estimated),
    }


def manifest_text(manifest: Manifest) -> str:
    """What was built, in a line."""
    removed = f", {manifest.removed:,} of them never found" if manifest.removed else ""
    every = ", one of each 2 x 2 x 2" if manifest.every > 1 else ""
    slabs = f" in {len(manifest.slabs)} slabs" if manifest.slabs else ""
    return (
        f"{manifest.factory} over {manifest.count:,} locations{slabs}{every}{removed}, recall@10 "
        f"{manifest.recall:.3f}, {in_bytes(manifest.bytes)} ({manifest.reason})"
    )


def versions_table(versions: tuple[Version, ...]) -> Table:
    """A row for each version."""
    table = plain_table(
        names="version|created|factory|", numbers="locations|removed|size|recall@10"
    )
    for version in versions:
        found, mark = version.manifest, "serving" if version.serving else ""
        if found is None:
            table.add_row(version.name, "", "damaged, or of another format", mark, "", "", "", "")
            continue
        table.add_row(
            version.name,
            found.created,
            found.factory,
            mark or found.note,
            f"{found.count:,}",
            f"{found.removed:,}",
            in_bytes(found.bytes),
            f"{found.recall:.3f}",
        )
    return table


def _option(option: Option) -> str:
    each = f"{option.bytes_per_vector:,.1f} bytes a location"
    return f"{option.factory}: {each}, {in_bytes(option.bytes)} in all"

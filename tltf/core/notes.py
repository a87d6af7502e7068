"""What a user may not expect of a stage, in sentences for log and report."""

from collections.abc import Mapping, Sequence

from tltf.core.audit import Audit
from tltf.core.cache.feed import Feed
from tltf.core.labels import Labels
from tltf.core.model import TransferModel
from tltf.core.run import StageResult
from tltf.core.solve import Solution
from tltf.core.stage import Stage


def on_feed(stage: Stage, feed: Feed, why_steps: str = "") -> str:
    """Says what a stage was trained on, and why.

    Args:
        stage: The stage.
        feed: What it read.
        why_steps: Why its head was not solved, if that was asked for.
    """
    title = f"Stage '{stage.name}'"
    steps = f" It was trained in steps: {why_steps}." if why_steps else ""
    if feed.train is None:
        return f"{title} computed all layers in each step: {feed.reason}."
    what = "the examples as they are"
    if stage.views:
        what = f"{stage.views} augmented views of each example"
    return (
        f"{title} trained on cached features of {what}: {feed.reason}.{steps}"
    )


def on_solution(stage: Stage, solution: Solution, labels: Labels) -> str:
    """Says how a head was solved."""
    how, strength = "L-BFGS", f"C={solution.strength:.3g}"
    if labels.kind == "regression":
        how, strength = "ridge regression", f"alpha={solution.strength:.3g}"
    ended = "" if solution.converged else " (which did not converge)"
    return (
        f"Stage '{stage.name}' was solved by {how}{ended} in place of epochs:"
        f" of {len(solution.losses)} strengths of regularisation {strength}"
        " had the least validation loss."
    )


def on_audit(model: TransferModel, stage: Stage, audit: Audit) -> list[str]:
    """Says what did not learn, though nothing is wrong with that."""
    notes = []
    if audit.silent:
        notes.append(
            f"Stage '{stage.name}': no gradient reached"
            f" {', '.join(audit.silent)}."
        )
    has_norms = any(
        "moving_variance" in path for path in audit.expectation.stays
    )
    if has_norms and model.origin["weights"] is None:
        notes.append(
            f"Stage '{stage.name}': the backbone's weights are random, and its"
            " batch normalisation stays at its initial statistics. To train"
            " from scratch, use unfreeze='all' and batch_norm='train'."
        )
    return notes


def on_result(result: StageResult) -> str:
    """Says in a line how a stage went."""
    plural = "" if result.epochs == 1 else "s"
    return (
        f"Stage '{result.stage.name}': {result.epochs} epoch{plural},"
        f" {result.learned} variables learned, {result.still} proved still,"
        f" {result.carried} optimizer slots carried over,"
        f" {result.seconds:.1f} s."
    )


def on_resume(stages: Sequence[Stage], state: Mapping) -> str:
    """Says in a line where a run goes on."""
    stage = stages[state["stage"]]
    after = f" after {state['step']} of its steps" if state["step"] else ""
    return (
        f"Resumed in stage '{stage.name}', epoch {state['epoch'] + 1}{after}."
    )


def on_stop(stage: Stage, left: Sequence[Stage]) -> str:
    """Says which stages did not run as a callback stopped one."""
    names = ", ".join(f"'{other.name}'" for other in left)
    return (
        f"A callback stopped training in stage '{stage.name}'; {names} did not"
        " run. Stage(patience=...) stops one stage alone."
    )

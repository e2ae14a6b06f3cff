"""Images to explain, and explaining them batch by batch: what is done is on disk, and is not done twice."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

    from histoxplain.explain import Explanation


@dataclass(frozen=True, eq=False)
class Job:
    """One image to explain."""

    id: str
    target: int
    image: Tensor | None = None
    """A real image, `(C, R, R)`."""
    sample: tuple[Tensor, Tensor] | None = None
    """Latents and noise of a generated one."""
    pixel_spacing: tuple[float, float] | None = None
    """Distance of rows and of columns in mm, where its file says it."""

    def fingerprint(self, settings: Sequence[Any]) -> str:
        """What the result depends on, as a short text; equal only for equal jobs."""
        from hashlib import sha256

        tensors = [self.image] if self.image is not None else list(self.sample)
        digest = sha256(repr((self.target, *settings)).encode())
        for tensor in tensors:
            digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
        return digest.hexdigest()[:16]


def run(explainer: Any, jobs: Sequence[Job], command: Any, quiet: bool = False) -> list[Explanation]:
    """Explain jobs batch by batch; each result is on disk as soon as it is there, and is not computed twice.

    Under torchrun the processes share the batches.

    Args:
        explainer: the method.
        jobs: what to explain.
        command: gives `out`, `count`, `seed`, `bundle`, `method` and `threshold`, and may give `option` and `terms()`.
        quiet: no progress bar.

    Returns:
        The explanations in the order of the jobs, in the first process.
    """
    from histoxplain._ranks import first, rank, share, spread, world
    from histoxplain.explain import with_measurements
    from histoxplain.train.loop import progress

    settings = [command.bundle, command.method, command.threshold, command.count, command.seed]
    settings += [*getattr(command, "option", ()), *getattr(command, "terms", list)()]
    done: dict[str, Explanation] = {}

    def look() -> set[str]:
        done.update(kept_from_before(jobs, command.out, settings))
        return set(done)

    known = first(look)
    todo = batches([job for job in jobs if job.id not in known], explainer.batch_size)
    with progress(len(known) + sum(map(len, share(todo))), len(known), "explaining", "image", quiet) as bar:

        def explain(batch: list[Job]) -> list[Explanation]:
            found = explain_batch(explainer, batch, command.count, command.seed)
            found = [with_measurements(one) for one in found]
            for job, one in zip(batch, found):
                one.settings["fingerprint"] = job.fingerprint(settings)
                one.save(command.out / job.id)
                bar.update()
            return found

        for place, found in enumerate(spread(explain, todo)):
            for job, one in zip(todo[place], found):
                done[job.id] = one
                if place % world() and finished(command.out / job.id, one.settings["fingerprint"]) is None:
                    one.save(command.out / job.id)  # a process of another host could not write here
    return [] if rank() > 0 else [done[job.id] for job in jobs]


def kept_from_before(jobs: Sequence[Job], out: Path, settings: Sequence[Any]) -> dict[str, Explanation]:
    """What an earlier run left of some jobs.

    Raises:
        InputError: if a folder holds something else.
    """
    from histoxplain.explain.record import check_free

    for job in jobs:
        check_free(out / job.id)
    return {job.id: kept for job in jobs if (kept := finished(out / job.id, job.fingerprint(settings)))}


def batches(jobs: Sequence[Job], size: int) -> list[list[Job]]:
    """Generated images first, then real ones, at most `size` at once."""
    kinds = [[job for job in jobs if (job.image is None) is generated] for generated in (True, False)]
    return [some[i : i + size] for some in kinds for i in range(0, len(some), size)]


def finished(folder: Path, fingerprint: str) -> Explanation | None:
    """The explanation that an earlier run left in a folder, if it is whole and answers the same question."""
    from histoxplain._checks import InputError
    from histoxplain.explain import Explanation

    try:
        kept = Explanation.load(folder)
    except InputError:
        return None
    return kept if kept.settings.get("fingerprint") == fingerprint else None


def explain_batch(explainer: Any, jobs: Sequence[Job], count: int, seed: int) -> list[Explanation]:
    """Explain jobs of one kind, real or generated, at once."""
    import torch

    ids, targets = [job.id for job in jobs], [job.target for job in jobs]
    if jobs[0].image is not None:
        return explainer.explain(torch.stack([job.image for job in jobs]), targets, count, seed, ids)
    ws, z = (torch.stack([job.sample[k] for job in jobs]) for k in (0, 1))
    return explainer.explain_latents(ws, targets, count, seed, z, ids)

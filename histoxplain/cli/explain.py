"""Show what would change the classifier's mind about images.

Writes OUT/<id>/ with explanation.json and PNGs for every image, and OUT/report.html. A run that was interrupted goes on
where it stopped when it is given again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from tyro.conf import Positional, arg

if TYPE_CHECKING:
    from torch import Tensor

    from histoxplain.data.window import Window
    from histoxplain.explain import Explanation, Generated
    from histoxplain.models import Bundle


@dataclass(frozen=True)
class Command:
    """Options of `histoxplain explain`."""

    images: Annotated[Positional[tuple[Path, ...]], arg(metavar="IMAGE")] = ()
    """Image files, or folders of them."""
    bundle: str = "lung-histology"
    """Name of a bundle under checkpoints/, or its folder."""
    target: str | None = None
    """The class asked for; by default each image's runner-up."""
    count: int = 4
    """How many different counterfactuals an image."""
    method: str = "latent"
    """How to look for them: "latent" (a small move of the generator's latent), "style" (few style coordinates, named),
    "directions" (along given ones), "concepts" (the fewest, named), "cyclegan" (a translator),
    "inpainting" (as normal, with a mask) or "pixels" (the adversarial baseline)."""
    criterion: Literal["l1", "perceptual", "coordinates", "latent"] | None = None
    """What "smallest change" means; by default l1, and coordinates for the method style."""
    mask: Path | None = None
    """Image whose black parts mark where nothing may change; as large as the images."""
    lock: tuple[str, ...] = ()
    """What must not change: coarse, middle, fine, stain, or names of style layers or channels ("b32.conv0 17")."""
    option: tuple[str, ...] = ()
    """More options of the method, such as directions=FILE or selection=determinant."""
    out: Path = Path("outputs/explain")
    """Folder to write to."""
    generated: int = 0
    """Besides IMAGEs, explain this many generated images of every pair of classes."""
    threshold: float = 0.5
    """Probability that a saved counterfactual must reach to count as valid."""
    fit: bool = False
    """Crop, resize and convert images of another size or kind instead of refusing them."""
    window: str | None = None
    """Of DICOM: the number of the file's window, from 1, or CENTRE/WIDTH (--window=-600/1500); by default the first."""
    frame: int | None = None
    """Of DICOM of several frames: the number of the frame, from 1."""
    dicom: bool = False
    """Also write each counterfactual as DICOM secondary capture, which says in pixels and tags that it is synthetic."""
    film: int = 7
    """Frames of the film strip in the report; 0 leaves it out."""
    seed: int = 0
    """Fixes every draw."""
    batch_size: int | None = None
    """Images searched at the same time; by default 16 of up to 128 px, fewer of larger ones."""

    def __call__(self) -> None:
        """Explain, write the report, and say where it is."""
        from histoxplain._checks import check, check_at_least
        from histoxplain._optional import require
        from histoxplain._ranks import join, rank
        from histoxplain.data.window import parse_window
        from histoxplain.explain import make_explainer
        from histoxplain.models import load_bundle

        join()
        check_at_least("count", self.count, 1)
        check_at_least("generated", self.generated, 0)
        window = parse_window(self.window)
        if self.dicom:
            require("pydicom", extra="dicom")  # before the work, not after it
        files = image_files(self.images)
        check(bool(files) or self.generated > 0, "IMAGE", "name at least one image", "none", "or give --generated 1")
        check(not self.out.is_file(), "out", "be a folder", f"the file {self.out}", "choose another name")
        bundle = load_bundle(self.bundle)
        explainer = make_explainer(self.method, bundle, **self.options())
        jobs = [*real_jobs(explainer, files, self.target, window, self.frame), *generated_jobs(explainer, self)]
        done = run(explainer, jobs, self)
        if rank() > 0:
            return
        report = report_of(bundle, done, self)
        if self.dicom:
            write_dicoms(done, jobs, self.out)
        for line in trust_of(done):
            print(line)
        print(
            f"{sum(bool(e.valid.any()) for e in done)} of {len(done)} images changed the classifier's mind -> {report}"
        )

    def options(self) -> dict[str, Any]:
        """The options of the method.

        Raises:
            InputError: if the method is unknown or does not take one that was given.
        """
        from histoxplain._checks import check, check_one_of
        from histoxplain.explain import METHODS, options_of, parse_options

        check_one_of("method", self.method, METHODS)
        known = options_of(METHODS[self.method])
        given = {"criterion": self.criterion, "mask": self.mask, "lock": self.lock or None}
        given = {name: value for name, value in given.items() if value is not None}
        for name, value in given.items():
            check(name in known, name, f"be left out with the method {self.method}", value, "use the method latent")
        common = {"threshold": self.threshold, "batch_size": self.batch_size, "fit": self.fit}
        common = {name: value for name, value in common.items() if value is not None}
        return common | given | parse_options(METHODS[self.method], self.option)

    def again(self) -> str:
        """The command that makes the report again, as one would type it."""
        from histoxplain.cli.chosen import chosen
        from histoxplain.viz import command_line

        options = chosen(self, "bundle", "count", "method", "seed")
        return command_line("explain", options.pop("images", ()), **options)

    def terms(self) -> list[Any]:
        """What may change, and what counts as small: part of each result's fingerprint."""
        return [self.criterion, self.lock, None if self.mask is None else self.mask.read_bytes()]


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


def image_files(paths: Sequence[Path]) -> list[Path]:
    """The image files behind files and folders, in order.

    Raises:
        InputError: if a path is missing or a folder holds no image.
    """
    from histoxplain._checks import check_exists
    from histoxplain.data.folder import find_images

    files = []
    for path in paths:
        check_exists("IMAGE", path)
        found = find_images(path)[1] if path.is_dir() else [path]
        if not found:
            from histoxplain._checks import InputError

            raise InputError(f"`IMAGE` must be an image or a folder of images, got {path} without any.")
        files += found
    return files


def names_of(files: Sequence[Path]) -> list[str]:
    """A folder name for each file, its stem; numbered where several share one.

    Example:
        >>> names_of([Path("a/x.png"), Path("b/x.png"), Path("y.png")])
        ['x', 'x-2', 'y']
    """
    names: list[str] = []
    for file in files:
        stem = file.stem.lstrip(".") or "image"
        name, number = stem, 2
        while name in names:
            name, number = f"{stem}-{number}", number + 1
        names.append(name)
    return names


def real_jobs(
    explainer: Any, files: Sequence[Path], target: str | None, window: Window = None, frame: int | None = None
) -> list[Job]:
    """Read and classify every image before anything is written, so that a wrong one stops the run early.

    DICOM files that name no window are told on stderr.
    """
    import torch

    from histoxplain.explain import evaluating, image_of

    if not files:
        return []
    options = {"fit": explainer.fit, "window": window, "frame": frame}
    x = torch.stack([image_of(file, explainer.bundle, **options) for file in files])
    with evaluating(explainer.bundle.classifier):
        before = explainer.probabilities(x)
    targets = explainer.targets(before, target, [str(file) for file in files]).tolist()
    spacings = [about_scan(file, x.shape[-1], window, frame) for file in files]
    rows = zip(names_of(files), targets, x, spacings)
    return [Job(name, t, image, pixel_spacing=spacing) for name, t, image, spacing in rows]


def about_scan(
    file: Path, resolution: int, window: Window = None, frame: int | None = None
) -> tuple[float, float] | None:
    """Pixel spacing of a DICOM file once it is a square of `resolution`; says on stderr if it names no window."""
    import sys

    from histoxplain.data.dicom import SPACING, WINDOW, holds_dicom
    from histoxplain.data.transforms import open_picture
    from histoxplain.data.window import NO_WINDOW

    if not holds_dicom(file):
        return None
    picture = open_picture(file, window=window, frame=frame)
    if picture.info[WINDOW] == NO_WINDOW:
        print(f"histoxplain: {file}: window: {NO_WINDOW}; --window CENTRE/WIDTH sets one", file=sys.stderr)
    factor = min(picture.size) / resolution
    spacing = picture.info.get(SPACING)
    return None if spacing is None else (spacing[0] * factor, spacing[1] * factor)


def write_dicoms(done: Sequence[Explanation], jobs: Sequence[Job], out: Path) -> None:
    """Write counterfactuals as DICOM beside their PNGs."""
    from histoxplain.explain import write_dicom

    for explanation, job in zip(done, jobs):
        write_dicom(explanation, out / job.id, job.pixel_spacing)


def generated_jobs(explainer: Any, command: Command) -> list[Job]:
    """`command.generated` samples of every pair of classes; as images for methods that do not start from latents."""
    from histoxplain.explain import draw, generate_pairs, quantised

    if not command.generated:
        return []
    bundle = explainer.bundle
    samples: Generated = generate_pairs(bundle, command.generated, command.seed, command.target)
    rows = zip(samples.ids, samples.targets, samples.ws, samples.z)
    if not hasattr(explainer, "explain_latents"):
        images = quantised(draw(bundle.generator, samples.ws))
        return [Job(name, t, image) for name, t, image in zip(samples.ids, samples.targets, images)]
    return [Job(name, t, sample=(ws, z)) for name, t, ws, z in rows]


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


def report_of(bundle: Bundle, done: Sequence[Explanation], command: Command) -> Path:
    """Write OUT/report.html, with a film strip for each explanation that has latents."""
    from histoxplain.explain import film_of
    from histoxplain.viz import provenance_of, write_report

    films = {e.case_id: film_of(bundle, e, 0, command.film) for e in done if command.film > 1 and "start" in e.latents}
    made = provenance_of(bundle, command.again(), command.seed)
    return write_report(done, command.out / "report.html", films, provenance=made)


def trust_of(done: Sequence[Explanation]) -> list[str]:
    """A line an image on how far to trust its explanation, and the whole table where there is only one."""
    lines = [f"{e.case_id}: {e.reliability['sentence']}" for e in done if e.reliability is not None]
    if len(done) == 1 and lines:
        checks = done[0].reliability["checks"]
        width = max(len(check["question"]) for check in checks)
        marks = {True: "fine", False: "doubtful", None: "open"}
        lines += [f"  {check['question']:<{width}}  {marks[check['fine']]:<8}  {check['answer']}" for check in checks]
    return lines

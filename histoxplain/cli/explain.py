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

from histoxplain.cli.image_files import about_scan, image_files, names_of
from histoxplain.cli.jobs import Job, run

if TYPE_CHECKING:
    from histoxplain.data.window import Window
    from histoxplain.explain import Explanation, Generated
    from histoxplain.models import Bundle


@dataclass(frozen=True)
class Command:
    """Options of `histoxplain explain`."""

    images: Annotated[Positional[tuple[Path, ...]], arg(metavar="IMAGE...")] = ()
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
    """Of DICOM with several frames: the number of the one to take, from 1."""
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


def report_of(bundle: Bundle, done: Sequence[Explanation], command: Command) -> Path:
    """Write OUT/report.html, with a film strip for each explanation that has latents."""
    from histoxplain.explain import film_of
    from histoxplain.viz import provenance_of, write_report

    films = {e.case_id: film_of(bundle, e, 0, command.film) for e in done if command.film > 1 and "start" in e.latents}
    made = provenance_of(bundle, command.again(), command.seed)
    return write_report(done, command.out / "report.html", films, provenance=made)


def trust_of(done: Sequence[Explanation]) -> list[str]:
    """A line an image on how far to trust its explanation, and the whole table where there is only one.

    Before these, where a method did not find what it is for, what was given instead.
    """
    lines = [f"{e.case_id}: {e.settings['instead']}" for e in done if "instead" in e.settings]
    lines += [f"{e.case_id}: {e.reliability['sentence']}" for e in done if e.reliability is not None]
    if len(done) == 1 and done[0].reliability is not None:
        checks = done[0].reliability["checks"]
        width = max(len(check["question"]) for check in checks)
        marks = {True: "fine", False: "doubtful", None: "open"}
        lines += [f"  {check['question']:<{width}}  {marks[check['fine']]:<8}  {check['answer']}" for check in checks]
    return lines

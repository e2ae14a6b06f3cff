"""The command line: one verb per file, each a dataclass whose fields are the options."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Sequence
from contextlib import redirect_stderr, redirect_stdout
from difflib import get_close_matches
from importlib import import_module
from pathlib import Path
from typing import Any

from histoxplain import __version__
from histoxplain._checks import InputError, check
from histoxplain._ranks import RankError, let_the_first_speak, rank, world

__all__ = ["VERBS", "main"]

VERBS = {
    "download": ("histoxplain.cli.download", "fetch a published data set, checked, with its terms"),
    "prepare": ("histoxplain.cli.prepare", "make square images, split by patient, of a folder, an archive or an LMDB"),
    "prepare volumes": ("histoxplain.cli.prepare_volumes", "cut CT or MR volumes into slices with masks of organs"),
    "train classifier": ("histoxplain.cli.train_classifier", "train a classifier on prepared data"),
    "train vote": ("histoxplain.cli.train_vote", "let trained classifiers vote as one"),
    "train gan": ("histoxplain.cli.train_gan", "train a class-conditional generator on prepared data"),
    "train cyclegan": (
        "histoxplain.cli.train_cyclegan",
        "train a translator between classes that changes a classifier's mind",
    ),
    "train inpainting": (
        "histoxplain.cli.train_inpainting",
        "train a network that makes abnormal images normal, to mark findings",
    ),
    "train encoder": ("histoxplain.cli.train_encoder", "train an encoder that finds a generator's latents of images"),
    "train stylex": ("histoxplain.cli.train_stylex", "train generator and encoder together for a classifier"),
    "train viscoin": ("histoxplain.cli.train_viscoin", "train concepts that explain a classifier and can be looked at"),
    "generate": ("histoxplain.cli.generate", "draw images by seed and class, mixed or on the way between seeds"),
    "project": ("histoxplain.cli.project", "find the latent of an image"),
    "predict": ("histoxplain.cli.predict", "classify images into a CSV file"),
    "explain": ("histoxplain.cli.explain", "show what would change the classifier's mind about images"),
    "concepts": ("histoxplain.cli.concepts", "show and name the concepts that a classifier looks for"),
    "attribute": ("histoxplain.cli.attribute", "show which parts of images speak for a class"),
    "evaluate": ("histoxplain.cli.evaluate", "measure an explanation method on real images"),
    "compare": ("histoxplain.cli.compare", "put evaluations of several methods side by side"),
    "measure": ("histoxplain.cli.measure", "measure how real and how right a bundle's samples are"),
    "measure concepts": ("histoxplain.cli.measure_concepts", "measure how faithful a bundle's concepts are"),
    "adopt": ("histoxplain.cli.adopt", "describe your own classifier, so that everything here works with it"),
    "bundle": ("histoxplain.cli.bundle", "put a generator and its classifiers into one folder with a model card"),
    "reference": ("histoxplain.cli.reference", "measure what images of a bundle's kind are like, to tell others apart"),
    "convert": ("histoxplain.cli.convert", "read or write other people's StyleGAN2 checkpoints"),
    "lab": ("histoxplain.cli.lab", "open the notebooks in JupyterLab"),
    "app": ("histoxplain.cli.app", "open the web page, and the HTTP interface"),
}
SHARED = ("train classifier", "train gan", "train stylex", "train cyclegan", "predict", "explain", "evaluate")
"""What several processes do together."""
QUESTION = "What would this tissue have to look like for the classifier to change its mind?"
HINT = "`histoxplain VERB --help` shows the options of a verb; `histoxplain --version` the version."


def usage() -> str:
    """The top-level help text."""
    width = max(map(len, VERBS))
    lines = [f"  {verb:<{width}}  {purpose}" for verb, (_, purpose) in VERBS.items()]
    return "\n".join(["usage: histoxplain VERB ...", "", QUESTION, "", *lines, "", HINT])


def find_verb(arguments: Sequence[str]) -> tuple[str, list[str]]:
    """Split the arguments into the verb, of one or two words, and the rest.

    Raises:
        InputError: if there is no such verb; the message names the nearest one.

    Example:
        >>> find_verb(["train", "gan", "DATA"])
        ('train gan', ['DATA'])
    """
    for words in (2, 1):
        verb = " ".join(arguments[:words])
        if verb in VERBS:
            return verb, list(arguments[words:])
    near = nearest_verb(arguments)
    raise InputError(f"there is no verb {arguments[0]!r}; {near}.")


def nearest_verb(arguments: Sequence[str]) -> str:
    """A hint for a mistyped verb.

    Example:
        >>> nearest_verb(["trian", "gan"]), nearest_verb(["train"])[:34]
        ("nearest valid is 'train gan'", "after it comes one of 'classifier'")
    """
    family = [verb for verb in VERBS if verb.startswith(arguments[0] + " ")]
    if family:
        return "after it comes one of " + ", ".join(repr(verb.partition(" ")[2]) for verb in family)
    for words in (2, 1):
        near = get_close_matches(" ".join(arguments[:words]), VERBS, n=1)
        if near:
            return f"nearest valid is {near[0]!r}"
    return "valid are " + ", ".join(VERBS)


def run(verb: str, arguments: Sequence[str]) -> None:
    """Do a verb; of several processes only the first prints."""
    alone = world() == 1 or verb in SHARED
    check(alone, "nproc-per-node", f"be 1 for `{verb}`, which several processes cannot share", world())
    with Path(os.devnull).open("w") as nowhere, redirect_stdout(nowhere if rank() > 0 else sys.stdout):
        with redirect_stderr(nowhere if rank() > 0 else sys.stderr):
            command = parse(verb, arguments)
        command()


def parse(verb: str, arguments: Sequence[str]) -> Any:
    """The options of a verb, read in its own way if it has a `parse`."""
    from histoxplain.cli.options import read_options

    module, prog = import_module(VERBS[verb][0]), f"histoxplain {verb}"
    if hasattr(module, "parse"):
        return module.parse(arguments, prog)
    return read_options(module.Command, arguments, prog, module.__doc__)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        argv: the arguments without the program's name; by default those of this process.

    Returns:
        the exit code: 0 done, 1 another process of several is gone, 2 the input is at fault, 130 interrupted.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        print(usage())
        return 0 if arguments else 2
    if arguments[0] in ("-V", "--version"):
        print(f"histoxplain {__version__}")
        return 0
    try:
        run(*find_verb(arguments))
    except SystemExit as request:
        if request.code:
            let_the_first_speak()
        return request.code if isinstance(request.code, int) else 2 if request.code else 0
    except KeyboardInterrupt:
        return complain("interrupted", 130) if rank() == 0 else 130
    except RankError as error:
        return complain(one_line(error), 1)
    except (InputError, ImportError, OSError) as error:
        if not is_users_fault(error):
            raise
        let_the_first_speak()
        return complain(one_line(error), 2)
    return 0


def complain(message: str, code: int) -> int:
    """Say one line on stderr; returns `code`."""
    who = f"process {rank()}: " if rank() > 0 else ""
    print(f"histoxplain: {who}{'error: ' if code in (1, 2) else ''}{message}", file=sys.stderr)
    return code


def is_users_fault(error: Exception) -> bool:
    """Whether an error needs no traceback: bad input, files, permissions, space, a package that is not installed."""
    if isinstance(error, ImportError):
        return "install it with" in str(error)
    kinds = (InputError, FileNotFoundError, FileExistsError, PermissionError, NotADirectoryError, IsADirectoryError)
    places = (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS, errno.EFBIG, errno.ENAMETOOLONG)
    return isinstance(error, kinds) or (isinstance(error, OSError) and error.errno in places)


def one_line(error: Exception) -> str:
    """The error as one line.

    Example:
        >>> one_line(FileNotFoundError(2, "No such file or directory", "a.png"))
        'No such file or directory: a.png'
    """
    if isinstance(error, OSError) and error.strerror:
        return error.strerror + (f": {error.filename}" if error.filename else "")
    return " ".join(str(error).split())

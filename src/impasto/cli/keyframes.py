"""Training with the key frames of a film, for ``impasto video --keyframe``."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import click

from impasto.base import files, own_process
from impasto.cli.console import clock, learning_display
from impasto.cli.inputs import check_input
from impasto.cli.interrupts import StopHandler
from impasto.learning.settings import seconds
from impasto.styles.style_file import SUFFIX

if TYPE_CHECKING:
    from impasto.video.frames import Cut

Style = tuple[str, float]
"""The path of a style file, and its weight."""


def learn_keyframes(
    clip: str,
    target: Path,
    painted: Sequence[tuple[float, str]],
    cut: Cut,
    rate: Fraction | None,
    learn_time: str | None,
    stop: StopHandler,
    *,
    should_replace: bool,
    can_reuse: bool,
    is_quiet: bool,
) -> list[tuple[float, Style]]:
    """Train networks with key frames, and write a style file for each key frame beside the film.

    The style files are needed to resume an interrupted film. They can be used like any other style.

    Args:
        clip: The film.
        target: The film to make.
        painted: The time of each key frame, seconds, and the file of the painted frame.
        cut: The part of the film.
        rate: The frames per second of a sequence of images.
        learn_time: The length of the training as text, or None for the default.
        stop: The handler of the stop signals. A signal during the training ends the program.
        should_replace: Whether existing files may be replaced.
        can_reuse: Whether existing style files are used, without a training.
        is_quiet: Whether to suppress the progress.

    Returns:
        The time of each key frame in the part of the film, seconds, and its style.
    """
    for _, name in painted:
        check_input(name)
    style_files = [
        target.with_name(f"{target.stem}_keyframe_{time:.2f}s{SUFFIX}") for time, _ in painted
    ]
    times = [max(0.0, time - cut.start) for time, _ in painted]
    keys = [(time, (str(path), 1.0)) for time, path in zip(times, style_files, strict=True)]
    if can_reuse and all(files.is_file(path) for path in style_files):
        return keys
    for path in style_files:
        files.check_writable(path, force=should_replace or can_reuse)
    from impasto.video.keyframes import KeyframeTraining
    from impasto.video.read.opening import open_source

    own_process.set_freed_memory(should_keep=True)
    source = open_source(clip, None, rate)
    training = KeyframeTraining(source, cut, painted, seconds=seconds(learn_time))
    with learning_display(is_quiet=is_quiet) as display:
        for progress in training:
            display.show(progress.share, f"{clock(progress.eta)} left", progress.message)
            if stop.signal_number:
                raise KeyboardInterrupt
    for path, (_, data) in zip(style_files, training.styles, strict=True):
        files.write_atomically(path, data)
        if not is_quiet:
            click.echo(f"learned from a key frame: {path}", err=True)
    return keys

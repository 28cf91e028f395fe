"""Make the thumbnails of the built-in styles: one photo in each of them.

python benchmarks/thumbnails.py
"""

from __future__ import annotations

from pathlib import Path

import common
import torch
from PIL import Image

from impasto.images.read import read
from impasto.images.write import quantize
from impasto.networks import styles
from impasto.networks.load import load_multistyle

PAINTED_PX, THUMBNAIL_PX, QUALITY = 384, 128, 85


def main() -> None:
    parser = common.parser(__doc__)
    default = Path(styles.__file__).parent / "thumbnails"
    parser.add_argument("--into", type=Path, default=default)
    folder = parser.parse_args().into
    folder.mkdir(exist_ok=True)
    photo = read(common.EXAMPLES / "photos/chelsea.png").fitted(PAINTED_PX, "antialias").rgb
    side = photo.shape[-2]
    left = (photo.shape[-1] - side) // 2
    photo = photo[..., left : left + side]
    network = load_multistyle(torch.device("cpu"), torch.float32)
    for name in styles.NAMES:
        painted = network.transformer(photo, network.style(name))
        image = Image.fromarray(quantize(painted[0].permute(1, 2, 0).numpy(), 8))
        image.thumbnail((THUMBNAIL_PX, THUMBNAIL_PX), Image.Resampling.LANCZOS)
        image.save(folder / f"{name}.jpg", quality=QUALITY)


if __name__ == "__main__":
    main()

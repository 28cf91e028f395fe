"""The tutorial's objective in TensorFlow, run by ``step.py --peer-python`` in TensorFlow's own
environment. Reads an .npz with both images and VGG-19's parameters; prints one line of JSON:
seconds and total loss of every step. Nothing of impasto is imported here.

    python benchmarks/peer_tutorial.py FILE.npz STEPS
"""

import json
import sys
import time
from typing import Any

import numpy as np
import tensorflow as tf

STYLE_LAYERS = [f"block{block}_conv1" for block in range(1, 6)]
CONTENT_LAYERS = ["block5_conv2"]


def main() -> None:
    arrays = np.load(sys.argv[1])
    vgg = tf.keras.applications.VGG19(include_top=False, weights=None)
    for layer in vgg.layers:
        if layer.get_weights():
            kernel, bias = arrays[f"{layer.name}.weight"], arrays[f"{layer.name}.bias"]
            layer.set_weights([kernel.transpose(2, 3, 1, 0), bias])
    vgg.trainable = False
    outputs = [vgg.get_layer(name).output for name in STYLE_LAYERS + CONTENT_LAYERS]
    model = tf.keras.Model([vgg.input], outputs)

    def represent(image: Any) -> tuple[Any, Any]:
        features = model(tf.keras.applications.vgg19.preprocess_input(image * 255.0))
        grams = []
        for f in features[:5]:
            locations = tf.cast(tf.shape(f)[1] * tf.shape(f)[2], tf.float32)
            grams.append(tf.linalg.einsum("bijc,bijd->bcd", f, f) / locations)
        return grams, features[5:]

    content, style = (tf.constant(arrays[name]) for name in ("content", "style"))  # NHWC, [0, 1]
    style_targets, content_targets = represent(style)[0], represent(content)[1]
    image = tf.Variable(content)
    adam = tf.keras.optimizers.Adam(learning_rate=0.02, beta_1=0.99, epsilon=1e-1)

    @tf.function  # type: ignore[untyped-decorator]
    def train_step() -> Any:
        with tf.GradientTape() as tape:
            grams, features = represent(image)
            pairs = zip(grams, style_targets, strict=True)
            style_loss = tf.add_n([tf.reduce_mean((g - t) ** 2) for g, t in pairs]) * 1e-2 / 5
            content_loss = tf.reduce_mean((features[0] - content_targets[0]) ** 2) * 1e4
            loss = style_loss + content_loss + 30 * tf.reduce_sum(tf.image.total_variation(image))
        adam.apply_gradients([(tape.gradient(loss, image), image)])
        image.assign(tf.clip_by_value(image, 0.0, 1.0))
        return loss

    seconds, totals = [], []
    for _ in range(int(sys.argv[2])):
        started = time.perf_counter()
        totals.append(float(train_step()))
        seconds.append(time.perf_counter() - started)
    print(json.dumps({"version": tf.__version__, "seconds": seconds, "totals": totals}))


if __name__ == "__main__":
    main()

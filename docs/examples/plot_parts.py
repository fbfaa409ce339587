"""python3 plot_parts.py PHOTO PLOT [RATIO]: the picture, its reflectance, its illumination and the result side by side."""

import sys

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from PIL import Image

import kind

if len(sys.argv) not in (3, 4):
    sys.exit(__doc__)
photo, plot = sys.argv[1:3]
options = {"ratio": float(sys.argv[3])} if len(sys.argv) == 4 else {}

picture = np.array(Image.open(photo).convert("RGB"))  # (h, w, 3), uint8
model = kind.Model.load()
reflectance, illumination = model.decompose(picture)
result, light = model.enhance(picture, return_light=True, **options)

figure, axes = plt.subplots(1, 4, figsize=(16, 4), constrained_layout=True)
for axis, image, title in [
    (axes[0], picture, "picture"),
    (axes[1], reflectance, "reflectance R"),
    (axes[2], illumination, "illumination L"),
    (axes[3], result, f"result, ratio {light.ratio:.2f}"),
]:
    axis.imshow(image, cmap="gray", vmin=0, vmax=1)  # cmap and limits are for L alone
    axis.set_title(title)
    axis.axis("off")
figure.savefig(plot, dpi=100)

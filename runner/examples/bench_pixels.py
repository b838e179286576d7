"""The same work as bench_pixels.rs with Pillow and torchvision, on one core.

    pip install pillow torch torchvision
    python bench_pixels.py photo.jpg
"""

import sys
import time

import torch
from PIL import Image
from torchvision.transforms import v2

torch.set_num_threads(1)
path = sys.argv[1]


def milliseconds(work):
    least = float("inf")
    for _ in range(15):
        start = time.perf_counter()
        work()
        least = min(least, time.perf_counter() - start)
    return least * 1e3


def decode():
    image = Image.open(path).convert("RGB")
    image.load()
    return image


print(f"decode whole       {milliseconds(decode):7.1f} ms")
photo = decode()
for name, size, kernel in (
    ("bilinear 224", 224, Image.BILINEAR),
    ("bicubic 224", 224, Image.BICUBIC),
    ("lanczos 768", 768, Image.LANCZOS),
):
    print(f"resize {name:12}{milliseconds(lambda: photo.resize((size, size), kernel)):7.1f} ms")

finish = [
    v2.ToImage(),
    v2.ToDtype(torch.float32, scale=True),
    v2.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
]
augment = v2.Compose(
    [
        v2.RandomResizedCrop(224, scale=(0.25, 1.0)),
        v2.RandomHorizontalFlip(),
        v2.ColorJitter(0.2, 0.2, 0.2, 0.05),
        *finish,
    ]
)
print(f"decode whole + augment {milliseconds(lambda: augment(decode())):7.1f} ms")

finish = v2.Compose(finish)


def views():
    image = decode()
    width, height = image.size
    boxes = [(0, 0, width, height), (0, 0, height, height), (width - height, 0, width, height)]
    tile = (width / 2.6, height / 2.6)
    for row in range(3):
        for column in range(3):
            left, top = column * (width - tile[0]) / 2, row * (height - tile[1]) / 2
            boxes.append((left, top, left + tile[0], top + tile[1]))
    return [finish(image.crop(tuple(map(int, box))).resize((224, 224), Image.BILINEAR)) for box in boxes]


print(f"decode whole + 12 views {milliseconds(views):7.1f} ms")

"""What simple models reach on the example projects, for comparison.

    sward init digits --template digits
    sward init textures --template textures
    sward init pasture --template pasture
    python baselines.py digits textures pasture

digits: logistic regression, accuracy on the rows held out.
textures, pasture: R2 of the training mean (constant) and of ridge regression on histograms of colour, over grouped folds:
every prediction is made by a model that saw no row of the same group. Ridge chooses its penalty inside the training folds.
pasture: besides, the weighted R2 in log1p space that the competition uses, over folds and on the test photographs.

Needs numpy, pillow and scikit-learn.
"""

import csv
import os
import sys
import warnings

import numpy as np
from PIL import Image
from sklearn.linear_model import LogisticRegression, RidgeCV
from sklearn.metrics import accuracy_score, r2_score
from sklearn.model_selection import GroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

PENALTIES = np.logspace(-2, 5, 15)
WEIGHTS = {"Dry_Clover_g": 0.1, "Dry_Dead_g": 0.1, "Dry_Green_g": 0.1, "Dry_Total_g": 0.5, "GDM_g": 0.2}


def rows(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def histogram(path):
    """The share of pixels in 24 bins of each channel of RGB and HSV (of grey for a grey picture), and means and spreads."""
    picture = Image.open(path)
    planes = [picture] if picture.mode == "L" else picture.convert("RGB").split() + picture.convert("HSV").split()
    features = []
    for plane in planes:
        values = np.asarray(plane, dtype=np.float64)
        features.append(np.histogram(values, bins=24, range=(0, 256))[0] / values.size)
        features.append([values.mean() / 255, values.std() / 255])
    return np.concatenate(features)


def ridge():
    return make_pipeline(StandardScaler(), RidgeCV(alphas=PENALTIES))


def out_of_fold(features, targets, groups, folds):
    """Predictions of the constant and of ridge for every row; a missing target (nan) trains nothing."""
    constant, fitted = np.full(targets.shape, np.nan), np.full(targets.shape, np.nan)
    for train, held in GroupKFold(n_splits=folds).split(features, groups=groups):
        for column in range(targets.shape[1]):
            known = train[~np.isnan(targets[train, column])]
            constant[held, column] = targets[known, column].mean()
            fitted[held, column] = ridge().fit(features[known], targets[known, column]).predict(features[held])
    return constant, fitted


def score(targets, predicted):
    """R2 of each column over its known cells."""
    known = ~np.isnan(targets)
    return [r2_score(targets[k, c], predicted[k, c]) for c, k in enumerate(known.T)]


def weighted_log_r2(targets, predicted, weights):
    """R2 over all known cells in log1p space, each cell weighted by its target, around the weighted mean of all cells."""
    known = ~np.isnan(targets)
    weight = np.broadcast_to(weights, targets.shape)[known]
    label, guess = np.log1p(targets[known]), np.log1p(np.maximum(predicted[known], 0))
    mean = np.average(label, weights=weight)
    return 1 - np.sum(weight * (label - guess) ** 2) / np.sum(weight * (label - mean) ** 2)


def show(name, names, scores):
    cells = "  ".join(f"{column} {value:.3f}" for column, value in zip(names, scores))
    print(f"  {name:9} mean {np.mean(scores):.3f}  {cells}")


def digits(folder):
    table = rows(os.path.join(folder, "data/digits.csv"))
    pixels = np.array([[float(row[f"p{at}"]) / 16 for at in range(64)] for row in table])
    label = np.array([int(row["label"]) for row in table])
    held = np.array([row["split"] == "holdout" for row in table])
    model = LogisticRegression(max_iter=5000).fit(pixels[~held], label[~held])
    print(f"{folder}: logistic regression, accuracy on {held.sum()} rows: {accuracy_score(label[held], model.predict(pixels[held])):.3f}")


def textures(folder):
    table = rows(os.path.join(folder, "data/textures.csv"))
    features = np.array([histogram(os.path.join(folder, "data", row["image_path"])) for row in table])
    names = ["grass", "gravel", "brick", "grass_zoom"]
    targets = np.array([[float(row[name] or "nan") for name in names] for row in table])
    groups = np.array([row["quadrant"] for row in table])
    constant, fitted = out_of_fold(features, targets, groups, 4)
    print(f"{folder}: R2 over 4 folds by quadrant, {len(table)} photographs")
    for name, predicted in [("constant", constant), ("ridge", fitted)]:
        show(name, names, score(targets, predicted))


def pasture(folder):
    names = list(WEIGHTS)
    weights = np.array([WEIGHTS[name] for name in names])

    def wide(file, key, value):
        samples = {}
        for row in rows(os.path.join(folder, "data", file)):
            sample, target = row["sample_id"].split("__")
            samples.setdefault(sample, {"row": row})[target] = float(row.get(value) or "nan")
        return samples

    def read(samples, folder_name):
        paths = [os.path.join(folder, "data", folder_name, f"{sample}.jpg") for sample in samples]
        targets = np.array([[sample[name] for name in names] for sample in samples.values()])
        return np.array([histogram(path) for path in paths]), targets

    train = wide("train.csv", "sample_id", "target")
    features, targets = read(train, "train")
    groups = np.array([sample["row"]["Sampling_Date"] + sample["row"]["State"] for sample in train.values()])
    constant, fitted = out_of_fold(features, targets, groups, 5)
    print(f"{folder}: R2 over 5 folds by date and state, {len(train)} photographs")
    for name, predicted in [("constant", constant), ("ridge", fitted)]:
        show(name, names, score(targets, predicted))
        print(f"  {name:9} weighted R2 in log1p space {weighted_log_r2(targets, predicted, weights):.3f}")
    test_features, test_targets = read(wide("test_truth.csv", "sample_id", "target"), "test")
    guess = np.empty(test_targets.shape)
    for column in range(len(names)):
        known = ~np.isnan(targets[:, column])
        guess[:, column] = ridge().fit(features[known], targets[known, column]).predict(test_features)
    print(f"  ridge, {len(test_targets)} test photographs: mean R2 {np.mean(score(test_targets, guess)):.3f}, "
          f"weighted R2 in log1p space {weighted_log_r2(test_targets, guess, weights):.3f}")


if __name__ == "__main__":
    warnings.filterwarnings("ignore", category=UserWarning)
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    digits(sys.argv[1])
    textures(sys.argv[2])
    pasture(sys.argv[3])

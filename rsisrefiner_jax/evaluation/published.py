"""The paper's Tables I, II and IV, to hold results against. Clicks: at most 20."""

import dataclasses

TARGETS = ("80", "85", "90")

# Data set name -> (its name in the paper, number of objects). Table II and the text disagree on
# NWPU and LoveDA; SAM-HQ's 1147 failures on NWPU only fit Table II.
DATASETS = {
    "isaid": ("iSAID", 844),
    "sandbar": ("SandBar", 663),
    "nwpu": ("NWPU", 2049),
    "loveda_urban": ("LoveDA Urban", 851),
    "whu_building": ("WHUBuilding", 2559),
}

# Three numbers (IoU 80, 85, 90) for each data set above, in that order. In SAM-HQ the backbone is
# frozen; PiClick is trained without multi-output prediction.
_NOC = """
RITM (HRNet32)| 2.37 3.74 6.71 5.11 8.29 13.54 3.25 4.51 7.17 6.73 8.36 10.82 3.82 5.41 9.00
CDNet (ResNet34)| 5.47 8.14 12.09 8.45 11.76 16.06 5.30 7.84 10.57 9.73 12.58 16.17 7.36 10.20 14.54
FocalClick (HRNet32)| 6.14 8.28 12.14 8.78 11.85 15.29 5.74 7.78 10.70 9.24 11.84 15.14 7.51 10.06 14.24
GPCIS (ResNet50)| 3.78 5.84 9.66 8.35 11.34 15.09 3.87 5.67 8.77 7.00 9.18 12.51 5.48 7.65 11.77
SAM-HQ (ViT-B)| 10.70 13.47 16.71 11.14 14.98 18.29 11.63 13.31 15.31 15.95 17.71 19.15 11.23 14.40 18.13
SimpleClick (ViT-B)| 2.40 3.76 6.66 5.25 8.22 13.34 3.08 4.57 7.12 6.82 8.33 10.62 3.64 5.08 8.42
PiClick (ViT-B)| 3.01 4.61 8.28 5.42 8.64 14.06 4.12 6.06 8.61 8.31 10.16 12.85 3.87 5.35 8.98
AdaptiveClick (ViT-B)| 2.89 4.61 7.79 6.29 9.37 13.76 3.72 5.36 7.81 6.84 8.44 10.67 3.54 5.03 8.46
MST (ViT-B)| 2.77 4.40 8.20 6.15 9.55 14.19 3.08 4.75 7.71 6.84 8.72 11.60 4.16 6.17 10.55
MFP (ViT-B)| 2.20 3.46 6.62 4.63 7.91 12.97 3.24 4.56 7.30 7.13 8.79 11.62 4.01 5.63 9.28
RS-ISRefiner (ViT-B)| 2.25 3.38 6.51 4.54 7.67 12.90 2.53 3.83 6.56 5.99 7.62 10.19 3.65 5.03 8.42
"""  # noqa: E501

_NOF = """
RITM (HRNet32)| 17 55 151 37 133 336 26 92 336 45 72 135 92 170 501
CDNet (ResNet34)| 67 145 349 91 208 409 132 412 700 108 220 441 193 417 1087
FocalClick (HRNet32)| 78 151 346 131 259 405 116 300 682 111 198 358 289 544 1131
GPCIS (ResNet50)| 27 92 253 84 212 397 34 145 428 31 76 183 141 348 857
SAM-HQ (ViT-B)| 210 365 582 184 367 539 681 890 1147 495 638 775 642 1179 2055
SimpleClick (ViT-B)| 18 50 137 45 130 317 17 120 345 31 54 93 82 144 405
PiClick (ViT-B)| 24 65 165 46 131 335 46 194 464 47 95 194 82 160 451
AdaptiveClick (ViT-B)| 24 74 175 81 175 347 65 198 424 27 48 97 57 151 475
MST (ViT-B)| 24 69 209 68 182 370 21 121 362 33 63 146 98 263 789
MFP (ViT-B)| 19 43 144 36 116 314 51 130 378 38 66 158 147 158 491
RS-ISRefiner (ViT-B)| 14 30 113 21 100 305 3 72 299 27 50 100 85 160 422
"""


@dataclasses.dataclass(frozen=True)
class Cost:
    """A row of Table IV. GFLOPs: of one pass at 448 px, as thop counts."""

    trainable: float  # millions of parameters
    gflops: float
    milliseconds: float  # a click, on the authors' graphics cards


COSTS = {
    "RITM (HRNet32)": Cost(30.95, 103.74, 65),
    "SAM-HQ (ViT-B)": Cost(2.09, 55.04, 50.8),
    "SimpleClick (ViT-B)": Cost(98.03, 169.78, 29.6),
    "PiClick (ViT-B)": Cost(116.28, 197.40, 87),
    "AdaptiveClick (ViT-B)": Cost(121.89, 269.81, 70.6),
    "MST (ViT-B)": Cost(155.52, 239.52, 77.8),
    "MFP (ViT-B)": Cost(98.66, 181.3, 34.2),
    "RS-ISRefiner (ViT-B)": Cost(40.11, 212.49, 48.2),
}


def _columns(table: str, index: int) -> dict[str, tuple[float, ...]]:
    rows = (line.split("|") for line in table.strip().splitlines())
    return {
        method: tuple(float(number) for number in numbers.split()[3 * index : 3 * index + 3])
        for method, numbers in rows
    }


def noc(dataset: str) -> dict[str, tuple[float, ...]]:
    """Method -> NoC at IoU 80, 85, 90 (Table I)."""
    return _columns(_NOC, list(DATASETS).index(dataset))


def nof(dataset: str) -> dict[str, tuple[float, ...]]:
    """Method -> NoF at IoU 80, 85, 90 (Table II)."""
    return _columns(_NOF, list(DATASETS).index(dataset))

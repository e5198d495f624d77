"""Words of DICOM headers that are repeated to people and kept.

A code string may hold anything, a patient's name too. So nothing of a header is shown or kept as
it stands: a value stays only where it is a code of a known set, or made of known words.
"""

from __future__ import annotations

import re

from ddad_core.imaging.suitability import body_part_warning

MODALITIES = {
    "AU": "audio", "BI": "biomagnetic imaging", "BMD": "bone densitometry",
    "CR": "computed radiography", "CT": "computed tomography", "DOC": "a document",
    "DX": "digital radiography", "ECG": "an electrocardiogram", "EPS": "electrophysiology",
    "ES": "endoscopy", "FID": "spatial fiducials", "GM": "general microscopy",
    "HC": "a hard copy", "HD": "haemodynamics", "IO": "intra-oral radiography",
    "IVUS": "intravascular ultrasound", "KO": "a key object selection", "LS": "a laser scan",
    "MG": "mammography", "MR": "magnetic resonance", "NM": "nuclear medicine",
    "OAM": "ophthalmology", "OCT": "optical coherence tomography", "OP": "ophthalmic photography",
    "OPT": "ophthalmic tomography", "OT": "other", "PR": "a presentation state",
    "PT": "positron emission tomography", "PX": "panoramic dental radiography",
    "REG": "a registration", "RESP": "a respiratory waveform", "RF": "fluoroscopy",
    "RG": "film radiography", "RTDOSE": "a radiotherapy dose", "RTIMAGE": "a radiotherapy image",
    "RTPLAN": "a radiotherapy plan", "RTRECORD": "a radiotherapy record",
    "RTSTRUCT": "radiotherapy structures", "SC": "a secondary capture", "SEG": "a segmentation",
    "SM": "slide microscopy", "SR": "a structured report", "TG": "thermography",
    "US": "ultrasound", "XA": "angiography", "XC": "a photograph",
}  # fmt: skip
"""Modality (0008,0060), PS3.3 section C.7.3.1.1.1, in words."""

PHOTOMETRIC = frozenset(
    "MONOCHROME1 MONOCHROME2 RGB HSV ARGB CMYK YBR_FULL YBR_FULL_422 YBR_PARTIAL_422 "
    "YBR_PARTIAL_420 YBR_ICT YBR_RCT XYB".split()
) | {"PALETTE COLOR"}
"""PS3.3 section C.7.6.3.1.2."""

_VIEWS = frozenset(
    "ANT ANTERIOR ANTEROPOSTERIOR AP AXIAL BED CHEST CROSS DECUB DECUBITUS ERECT FRONTAL GRID "
    "LAO LAT LATERAL LD LEFT LL LLD LLO LORDOTIC LPO OBL OBLIQUE PA PORTABLE POST POSTERIOR "
    "POSTEROANTERIOR PRONE RAO RD RIGHT RL RLD RLO RPO SITTING STANDING SUPINE TABLE THORAX "
    "UPRIGHT VIEW".split()
)
_BODY_PARTS = frozenset(
    "ABD ABDOMEN ABDOMINAL AC ADRENAL AND ANKLE AORTA ARM AXILLA BABY BACK BLADDER BODY BRAIN "
    "BREAST BUTTOCK CALCANEUS CALF CAROTID CERVICAL CEREBELLUM CHEEK CHEST CLAVICLE COCCYX "
    "COLON CORNEA CSPINE CTSPINE CHESTABDOMEN CHESTABDPELVIS CHESTPORTABLE DUODENUM EAR ELBOW "
    "ESOPHAGUS EXTREMITY EYE EYELID FACE FEMUR FINGER FOOT FOREARM GALLBLADDER GENERAL HAND HEAD "
    "HEART HIP HUMERUS IAC ILEUM ILIUM JAW JEJUNUM JOINT KIDNEY KNEE KUB LARYNX LEFT LEG LIVER "
    "LOWER LSPINE LSSPINE LUMBAR LUNG LUNGS MANDIBLE MAXILLA MEDIASTINUM MOUTH NECK NOSE ORBIT "
    "OTHER OVARY PANCREAS PARATHYROID PAROTID PART PATELLA PEDIATRIC PELVIS PENIS PHARYNX "
    "PORTABLE PROSTATE RADIUS RECTUM RIB RIBS RIGHT SACRUM SCALP SCAPULA SCROTUM SELLA "
    "SHOULDER SI SINUS SINUSES SKULL SPINE SPLEEN SSPINE STERNUM STOMACH SUBMANDIBULAR TESTIS "
    "THIGH THORACIC THORAX THUMB THYMUS THYROID TIBIA TLSPINE TMJ TOE TONGUE TORAX TRACHEA TRUNK "
    "TSPINE ULNA UNKNOWN UPPER URETER UTERUS VAGINA VULVA WHOLEBODY WRIST ZYGOMA".split()
)
"""PS3.16 annex L, and what makers set beside it."""

_WINDOW_NAMES = frozenset(
    "ABD ABDOMEN ALGO ALTERNATE AP AUTO BASE BONE BONES BRIGHT BRIGHTER CHEST CONTRAST CUSTOM "
    "DARK DARKER DEFAULT DETAIL DIAGNOSTIC FILM FINE FLAT FULL HARD HARDER HEART HIGH INITIAL "
    "LAT LATERAL LIGHT LIGHTER LINEAR LOW LUNG LUNGS LUT MEDIASTINUM MEDIUM NARROW NEUTRAL NORMAL "
    "ORIGINAL PA PRESET RANGE RIBS SHARP SIGMOID SKELETON SMOOTH SOFT SOFTER SPINE STANDARD STRONG "
    "THORAX TISSUE USER VIEW VOI WEAK WIDE WINDOW".split()
)
_WORD = re.compile(r"[A-Z]+|\d+")
_NAME_LENGTH = 64


def known_view(view: str | None) -> str | None:
    """The view; of one in unknown words only that it is lateral, of which readers are warned."""
    if view is None or _known(view, _VIEWS):
        return view
    return "LATERAL" if "LAT" in view else None


def known_body_part(part: str | None) -> str | None:
    """The body part; of one in unknown words only whether readers are warned of it."""
    if part is None or _known(part, _BODY_PARTS):
        return part
    return "CHEST" if body_part_warning(part) is None else "OTHER"


def known_window_name(name: str) -> str:
    """The maker's name of a window, or nothing: users may type names of their own."""
    name = name.strip()[:_NAME_LENGTH]
    return name if name.isascii() and _known(name.upper(), _WINDOW_NAMES) else ""


def _known(text: str, words: frozenset[str]) -> bool:
    """Whether a text has known words, single letters and numbers below 100 only."""
    found = _WORD.findall(text)
    numbers = [word for word in found if word.isdigit()]
    others = [word for word in found if len(word) > 1 and not word.isdigit()]
    return words.issuperset(others) and len(numbers) < 3 and all(len(n) < 3 for n in numbers)

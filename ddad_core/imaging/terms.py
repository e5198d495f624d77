"""Words of DICOM headers that are repeated to people and kept.

A code string may hold anything, a patient's name too. So nothing of a header is shown or kept as
it stands: a value is looked up here, word by word, and what is not found is left out.
"""

from __future__ import annotations

import re

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

BODY_PARTS = frozenset(
    "ABDOMEN ABDOMENPELVIS ABD ADRENAL ANKLE AORTA ARM AXILLA BACK BLADDER BRAIN BREAST BRONCHUS "
    "BUTTOCK CALCANEUS CALF CAROTID CEREBELLUM CERVIX CHEEK CHEST CHESTABDOMEN CHESTABDPELVIS "
    "CIRCLEOFWILLIS CLAVICLE COCCYX COLON CORNEA CORONARYARTERY CSPINE CTSPINE DUODENUM EAR ELBOW "
    "ESOPHAGUS EXTREMITY EYE EYELID FACE FEMUR FINGER FOOT FOREARM GALLBLADDER HAND HEAD HEADNECK "
    "HEART HIP HUMERUS IAC ILEUM ILIUM JAW JEJUNUM KIDNEY KNEE LARYNX LEG LIVER LOWER LSPINE "
    "LSSPINE LUNG LUNGS MAXILLA MEDIASTINUM MOUTH NECK NECKCHEST NECKCHESTABDOMEN NECKCHESTABDPELV "
    "NOSE ORBIT OVARY PANCREAS PAROTID PATELLA PELVIS PENIS PHARYNX PROSTATE RECTUM RIB RIBS SCALP "
    "SCAPULA SCLERA SCROTUM SHOULDER SINUS SKULL SPINE SPLEEN SSPINE STERNUM STOMACH SUBMANDIBULAR "
    "TESTIS THIGH THORAX TORAX THUMB THYMUS THYROID TIBIA TLSPINE TMJOINT TOE TONGUE TRACHEA "
    "TSPINE UPPER URETER URETHRA UTERUS VAGINA VULVA WHOLEBODY WRIST ZYGOMA".split()
)
"""BodyPartExamined (0018,0015), PS3.16 annex L, and what makers write besides."""

VIEWS = frozenset(
    "AP PA LL RL LLD RLD LLO RLO LAO RAO LPO RPO LAT LATERAL LEFT RIGHT OBL OBLIQUE DECUBITUS "
    "DECUB LORDOTIC SUPINE ERECT AXIAL".split()
)
"""ViewPosition (0018,5101), PS3.3 sections C.8.1.2 and C.8.11.5, and what makers write besides."""

WINDOW_NAMES = frozenset(
    "NORMAL HARDER SOFTER HARD SOFT STANDARD LUNG LUNGS BONE BONES MEDIASTINUM TISSUE CHEST "
    "THORAX HIGH LOW CONTRAST BRIGHT DARK WINDOW DEFAULT USER ORIGINAL AUTO ALGO WIDE NARROW "
    "CATHETER LINES SPINE ABDOMEN IDENTITY LINEAR SIGMOID VOI LUT PRESET".split()
)
"""WindowCenterWidthExplanation (0028,1055) and LUTExplanation (0028,3003) are free text."""

_WORD = re.compile(r"[A-Z]+[0-9]?(?![0-9])|(?<![0-9A-Z])[0-9]{1,2}(?![0-9])")


def known_words(text: str | None, terms: frozenset[str]) -> str | None:
    """Keep the words of a value that are known.

    Args:
        text: A value in capitals, or None.
        terms: The words there are; a digit may follow one, and short numbers stay beside one.

    Returns:
        The known words, a space between; None if there is none.
    """
    words = [
        word
        for word in _WORD.findall((text or "").upper())
        if word.isdecimal() or word in terms or word[:-1] in terms and word[-1].isdecimal()
    ]
    return " ".join(words) if any(not word.isdecimal() for word in words) else None

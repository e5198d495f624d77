"""From images and roles to trained, calibrated, packed models."""

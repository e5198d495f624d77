"""What DDAD Review keeps: images, scores, reads and operating points."""

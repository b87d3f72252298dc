"""Models that generate video from text: an image diffusion model inflated to video, and how its videos are measured."""

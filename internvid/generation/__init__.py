"""Models that generate videos from text: a text-to-image latent diffusion model, inflated to video as in the paper."""

"""`Kind.programs`: what is printed while a program compiles, by the name of its function without outer underscores."""

TRAINED_NETWORKS = {  # of evaluations, of distances between images and of readers of generated ones
    "step": "the training step of a classifier",
    "forward": "the classifier",
}
MODELS = TRAINED_NETWORKS | {
    "train_steps": "the training step",
    "truncated_normal": "the initial parameters",
    "scaled": "the initial parameters",
    "terms": "the bound",
    "encode": "the encoder",
    "draw_prior": "the sampler of codes",
    "generate": "the sampler",
    "features": "the Inception network",
    "nearest": "the nearest sprites",
    "levels_of": "the sprites",
    "train_readouts": "the readouts",
}
LATENTS = MODELS | {"normal": "draws of latents", "decode_batch": "the decoder", "drawn": "draws of Gaussian models"}
AUTOENCODERS = TRAINED_NETWORKS | {
    "train_steps": "the training step",
    "truncated_normal": "the initial parameters",
    "scaled": "the initial parameters",
    "terms": "the bound",
    "moments": "the encoder",
    "encode_batch": "the encoder",
    "decode": "the decoder",
    "decode_batch": "the decoder",
    "decoded": "the decoder",
    "levels_of": "the sprites",
    "nearest": "the nearest sprites",
    "distance": "the nearest sprites",
    "train_readouts": "the readouts",
}
EXACT_CURVES = {
    "draw_queries": "exact queries",
    "means": "the exact posterior",
}
PROBES = (
    TRAINED_NETWORKS
    | EXACT_CURVES
    | {
        "initial": "the probes' initial parameters",
        "start": "the first validation of the probes",
        "round": "a round of the probes' training",
        "scores": "the probes' scores",
        "score": "the probes' scores",
        "backward": "chains from noise",
        "round_trip": "round trips",
        "generated": "chains from noise",
        "of_members": "noised images",
        "distance": "distances to the images",
        "compare": "the exact posterior on chains",
        "statistics": "statistics of real and generated images",
        "posterior_statistics": "statistics of real and generated images",
    }
)
DAES = {
    "train_steps": "the training step",
    "truncated_normal": "the initial parameters",
    "scaled": "the initial parameters",
    "errors": "errors of validation images",
    "squared_error": "errors of denoising",
    "one_step": "a step towards an attractor",
    "along": "the Jacobian",
    "normal": "draws of noise",
}

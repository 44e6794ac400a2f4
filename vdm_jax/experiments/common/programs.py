"""`Kind.programs`: what is printed while compiled functions of these names compile."""

OF_CLASSIFIERS = {
    "step": "the training step of a classifier",
    "forward": "the classifier",
    "logits": "the classifier",
}
OF_MODELS = OF_CLASSIFIERS | {
    "train_steps": "the training step",
    "terms": "the bound",
    "encode": "the encoder",
    "generate": "the sampler",
    "init": "the initial parameters",
    "features": "the Inception network",
}
OF_EXACT_CURVES = {
    "draw_queries": "exact queries",
    "means": "the exact posterior",
}

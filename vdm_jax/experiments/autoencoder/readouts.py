"""placeholder"""


def readouts(experiment, coder, workdir):
    return None, None, {"readout": "none"}


def disentanglement(config, data, coder, conditional):
    return None, {"disentanglement": "none"}

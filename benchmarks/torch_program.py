"""A training program as PyTorch's users write it, to be timed from its start.

    python -m benchmarks.torch_program FOLDER '{"layers": …}'

FOLDER holds the decoded arrays of both splits, which are only to be read. It prints
"step 1/" once the first training step is made and, after every epoch,
"validation accuracy" with it.
"""

import json
import pathlib
import sys

import numpy as np


def main(folder: pathlib.Path, options: dict) -> None:
    """Trains.

    Args:
      folder: see `benchmarks.rows.programs`.
      options: "layers", the fields of `Layers`; "classes"; "batch"; "learning_rate";
        "mean" and "std" of the images; "epochs", the most; "channels_last".
    """
    import torch
    from torch import nn

    from benchmarks.torch_model import Layers

    def read(split):
        images, labels = (np.load(folder / f"{split}_{kind}.npy") for kind in ("images", "labels"))
        return torch.from_numpy(images), torch.from_numpy(labels).long()

    images, labels = read("train")
    held_out, held_out_labels = read("validation")
    memory = torch.channels_last if options["channels_last"] else torch.contiguous_format
    module = Layers(**options["layers"]).module(tuple(images.shape[1:]), options["classes"])
    module = module.to(memory_format=memory)
    optimizer = torch.optim.Adam(module.parameters(), lr=options["learning_rate"], foreach=True)
    mean, std = (torch.tensor(options[name])[:, None, None] for name in ("mean", "std"))
    size = options["batch"]

    def logits(batch):
        x = (batch.permute(0, 3, 1, 2).float() - mean) / std
        return module(x.contiguous(memory_format=memory))

    for epoch in range(options["epochs"]):
        module.train()
        for step, chosen in enumerate(torch.randperm(len(images)).split(size)):
            optimizer.zero_grad(set_to_none=True)
            nn.functional.cross_entropy(logits(images[chosen]), labels[chosen]).backward()
            optimizer.step()
            if epoch == step == 0:
                print("step 1/", flush=True)
        module.eval()
        batches = zip(held_out.split(512), held_out_labels.split(512), strict=True)
        with torch.inference_mode():
            right = sum((logits(batch).argmax(1) == label).sum().item() for batch, label in batches)
        print(f"validation accuracy {right / len(held_out):.4f}", flush=True)


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]), json.loads(sys.argv[2]))

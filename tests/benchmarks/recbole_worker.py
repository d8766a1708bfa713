"""RecBole's SASRec, trained on batches that it is handed: run by the Python that RecBole is installed in.

``python recbole_worker.py DATA.npz THREADS``: loads history, length and target of all training samples and the test
users' histories, then reads commands from stdin: ``train FROM TO`` prints the seconds of an epoch of RecBole's trainer
over those batches; ``rank FILE`` stores the 50 best items of each test user.
"""

import sys
import time

import numpy as np
import torch
from recbole.config import Config
from recbole.data.interaction import Interaction
from recbole.model.sequential_recommender.sasrec import SASRec
from recbole.trainer import Trainer

BATCH = 128


class Items:
    """All that RecBole's model asks of a data set."""

    def __init__(self, count):
        self.count = count

    def num(self, field):
        return self.count


def interactions(history, length, target=None):
    fields = {"item_id_list": torch.from_numpy(history), "item_length": torch.from_numpy(length)}
    return Interaction(fields if target is None else {**fields, "item_id": torch.from_numpy(target)})


def main():
    data = np.load(sys.argv[1])
    torch.set_num_threads(int(sys.argv[2]))
    settings = {
        "n_layers": 2, "n_heads": 2, "hidden_size": 64, "inner_size": 256, "hidden_dropout_prob": 0.2,
        "attn_dropout_prob": 0.0, "loss_type": "CE", "train_neg_sample_args": None, "learning_rate": 1e-3,
        "train_batch_size": BATCH, "MAX_ITEM_LIST_LENGTH": data["history"].shape[1], "use_gpu": False,
        "show_progress": False, "log_wandb": False, "seed": 0, "state": "CRITICAL", "save_dataset": False,
    }  # fmt: skip
    config = Config(model="SASRec", dataset="ml-100k", config_dict=settings)
    config["device"] = torch.device("cpu")
    torch.manual_seed(0)
    model = SASRec(config, Items(int(data["items"]) + 1))
    trainer = Trainer(config, model)
    batches = [
        interactions(*(data[name][at : at + BATCH] for name in ("history", "length", "target")))
        for at in range(0, len(data["target"]), BATCH)
    ]
    print("ready", flush=True)
    for line in sys.stdin:
        command, *arguments = line.split()
        if command == "train":
            begun = time.perf_counter()
            trainer._train_epoch(batches[slice(*map(int, arguments))], 0)
            print(time.perf_counter() - begun, flush=True)
        else:
            model.eval()
            with torch.no_grad():
                scores = model.full_sort_predict(interactions(data["test_history"], data["test_length"]))
            scores[:, 0] = -torch.inf
            np.save(arguments[0], scores.topk(50).indices.numpy())
            print("ranked", flush=True)


if __name__ == "__main__":
    main()

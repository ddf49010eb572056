"""The epochs of a training."""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from edgevid.errors import EdgevidError
from edgevid.zoo.training.checkpoint import KEPT, LAST, Epoch, Run, State, network_bytes, state_bytes
from edgevid.zoo.training.clips import Batch, Clips, test_batches, training_batches
from edgevid.zoo.training.norms import freeze_but_first, recompute_statistics
from edgevid.zoo.training.objective import loss_of, mix
from edgevid.zoo.training.optimizer import make_optimizer, set_rate
from edgevid.zoo.training.recipe import rate_at

Save = Callable[[str, bytes], None]
"""Replaces a file of the training's folder, by its name, at once."""

Progress = Callable[[Iterable[Batch], int, str], Iterable[Batch]]
"""Shows how many of so many batches are done; the text says of what."""


def kept_epoch(epochs: Sequence[Epoch], keeps_last: bool) -> Epoch:
    """The one whose weights are kept; of equals the later one, as its rate was lower."""
    return epochs[-1] if keeps_last else max(epochs, key=lambda epoch: (epoch.test_accuracy, epoch.number))


@dataclass
class Training:
    """A training of ``network`` on ``clips``, tested on ``test_clips`` after each epoch.

    ``checkpoint.pt`` is of the epoch with the best accuracy, or with ``keeps_last`` of the last one: where
    the test clips choose the epoch, its accuracy on them is no fair estimate. ``teacher`` takes the same
    clips, in evaluation mode. Batch norms are frozen only in a network that was trained before.
    """

    network: nn.Module
    run: Run
    clips: Clips
    test_clips: Clips
    save: Save
    keeps_last: bool = False
    teacher: nn.Module | None = None
    progress: Progress = lambda batches, count, text: batches

    def __post_init__(self) -> None:
        for name, clips in (("training", self.clips), ("test", self.test_clips)):
            if len(clips) < 2:
                raise EdgevidError(f"the {name} split has {len(clips)} videos: at least 2 are needed")
        recipe = self.run.recipe
        for parameter in self.network.parameters():
            if parameter.dim() == 4:  # as the batches lie; PyTorch's own Module.to refuses 3-D convolutions
                parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)
        self._freezes = recipe.partial_bn and self.run.weights is not None
        for module in self.network.modules():
            if isinstance(module, nn.Dropout):
                module.p = recipe.dropout
        self._train_mode()
        self._optimizer = make_optimizer(self.network, recipe)

    def epochs(self, state: State | None = None) -> Iterator[Epoch]:
        """Train, from ``state`` on if given; yields the results of each epoch after its files were saved."""
        done: list[Epoch] = []
        if state is not None:
            self.network.load_state_dict(state.network)
            self._optimizer.load_state_dict(state.optimizer)
            done = list(state.epochs)
        for number in range(len(done), self.run.recipe.epochs):
            done.append(self._epoch(number))
            if done[-1] == kept_epoch(done, self.keeps_last):
                self.save(KEPT, network_bytes(self.network, self.run.trained))
            self.save(LAST, state_bytes(self.network, self._optimizer, self.run, done))
            yield done[-1]

    def _epoch(self, number: int) -> Epoch:
        start, recipe = time.perf_counter(), self.run.recipe
        generator = np.random.default_rng([self.run.seed, number, 2])
        torch.manual_seed(int(generator.integers(1 << 32)))  # of dropout
        self._train_mode()
        losses: list[float] = []
        correct = seen = 0
        count = len(self.clips) // min(recipe.batch, len(self.clips))
        text = f"epoch {number + 1}/{recipe.epochs}"
        for index, batch in enumerate(self.progress(self._batches(number), count, text)):
            rate = rate_at(recipe, (number + index / count) / recipe.epochs)
            set_rate(self._optimizer, rate)
            loss, logits = self._step(batch, generator)
            if not math.isfinite(loss):
                raise EdgevidError(f"the loss of epoch {number + 1} is {loss}: choose a smaller --lr")
            losses.append(loss)
            correct += int((logits.argmax(1) == batch.labels).sum())
            seen += len(batch.labels)
        if recipe.precise_bn and ((number + 1) % recipe.precise_bn_every == 0 or number + 1 == recipe.epochs):
            batches = itertools.islice(self._batches(number), recipe.precise_bn)
            recompute_statistics(self.network, (batch.inputs for batch in batches))
        test_loss, test_accuracy = self.test()
        return Epoch(
            number=number + 1,
            rate=rate,
            loss=float(np.mean(losses)),
            accuracy=correct / seen,
            test_loss=test_loss,
            test_accuracy=test_accuracy,
            seconds=time.perf_counter() - start,
        )

    def test(self) -> tuple[float, float]:
        """Loss and accuracy on the test clips; the network is left in evaluation mode."""
        self.network.eval()
        total = correct = 0.0
        trained = self.run.trained
        size = self.run.recipe.batch
        with torch.no_grad():
            for batch in test_batches(self.test_clips, trained.preprocessing, trained.frames, size):
                logits = self.network(batch.inputs)
                total += float(functional.cross_entropy(logits, batch.labels, reduction="sum"))
                correct += int((logits.argmax(1) == batch.labels).sum())
        return total / len(self.test_clips), correct / len(self.test_clips)

    def _step(self, batch: Batch, generator: np.random.Generator) -> tuple[float, torch.Tensor]:
        recipe = self.run.recipe
        inputs = batch.inputs
        targets = functional.one_hot(batch.labels, len(self.run.trained.classes)).float()
        if recipe.mixup:
            inputs, targets = mix(inputs, targets, recipe.mixup, generator)
        teacher_logits = None
        if self.teacher is not None:
            with torch.no_grad():
                teacher_logits = self.teacher(inputs)
        logits = self.network(inputs)
        loss = loss_of(logits, targets, recipe.label_smoothing, teacher_logits)
        self._optimizer.zero_grad()
        loss.backward()
        if recipe.clip_norm:
            nn.utils.clip_grad_norm_(self.network.parameters(), recipe.clip_norm)
        self._optimizer.step()
        return loss.item(), logits.detach()

    def _batches(self, number: int) -> Iterator[Batch]:
        run = self.run
        seed = (run.seed, number)
        return training_batches(self.clips, run.recipe, run.trained.preprocessing, run.trained.frames, seed)

    def _train_mode(self) -> None:
        self.network.train()
        if self._freezes:
            freeze_but_first(self.network)

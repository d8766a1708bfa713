"""What the cells of a grid stand on: the order, the data set, the sets of interests, the rows."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from ..config import Config
from ..data.dataset import Float32
from ..data.demo import write_demo_source
from ..errors import EimfError, InputError
from ..esim.encoder import TextEncoder, load_encoder
from ..esim.model_files import resolve_llm
from ..progress import Reporter
from ..stages.datasets import OpenDataset, embed_items, has_titles, open_dataset, prepare_dataset, text_folder
from ..stages.training import is_trained
from .cells import Cell
from .clock import StageClock
from .folder import check_same
from .grid import Row, grid_cells, grid_rows
from .interest_sets import InterestSets, Workshop, interest_sets, method_interests, planned_sets
from .parts import Choice


@dataclass(frozen=True)
class Order:
    """What ``reproduce`` was asked for.

    ``dataset`` None is the embedded demo. ``interests``: artefacts on the same exemplars, compared side by side.
    ``model``: a GGUF by name or path, or a server's URL; None where only the given interests are wanted.
    ``only``: tables, figures and conditions to run now; the report shows whatever is finished. ``budget``: minutes from
    the start within which cells are chosen; 0: the plan alone; None: no limit. ``trials``: of a search that is run in
    the grid's place; 0: none. ``command``: how people would call this again, without ``only``.
    """

    out: Path
    config: Config
    dataset: Path | None
    interests: Sequence[Path]
    model: str | None
    encoder: str
    only: Sequence[str] = ()
    budget: float | None = None
    trials: int = 0
    command: str = "eimf-local reproduce"

    @property
    def plan_only(self) -> bool:
        """Whether no cell is to be trained, and no interests but the method's to be inferred."""
        return self.budget == 0


@dataclass(frozen=True)
class Ground:
    """Everything that is there before the first training.

    ``choice``: the whole grid; ``now``: what is to be run of it. ``item_text``: float32 [N + 1, T], None without
    titles. ``rows``: of the whole grid, as far as their interests are at hand.
    """

    order: Order
    choice: Choice
    now: Choice
    dataset: OpenDataset
    encoder: TextEncoder
    item_text: Float32 | None
    shop: Workshop
    sets: InterestSets
    rows: list[Row]

    @property
    def seeds(self) -> tuple[int, ...]:
        """The training seeds."""
        return self.order.config.reproduce.seed_list

    def is_finished(self, cell: Cell) -> bool:
        """Whether the cell's run is there, and made from these very inputs and settings."""
        interests = next((row.interests for row in self.rows if row.name == cell.condition), None)
        with suppress(EimfError):  # whoever trains the cell names what stands in its place
            return is_trained(cell.out, self.dataset, interests=interests, encoder=self.encoder, config=cell.config)
        return False

    def finished(self) -> dict[str, list[int]]:
        """Seeds of every row's finished runs, by the row's name."""
        found: dict[str, list[int]] = {row.name: [] for row in self.rows}
        for cell in self._cells(self.rows):
            if self.is_finished(cell):
                found[cell.condition].append(cell.seed)
        return found

    def cells(self) -> list[Cell]:
        """Those to be run now."""
        wanted = {condition.name for condition in self.now.conditions}
        return self._cells([row for row in self.rows if row.condition.name in wanted])

    def _cells(self, rows: Sequence[Row]) -> list[Cell]:
        return grid_cells(
            rows,
            seeds=self.seeds,
            dataset=self.dataset.artifact.path,
            encoder=self.order.encoder,
            out=self.order.out,
            config=self.order.config,
        )


def prepare(order: Order, choice: Choice, now: Choice, clock: StageClock, reporter: Reporter) -> Ground:
    """Data set, titles, interests, rows. A data set without titles leaves out what needs them, and says so.

    Raises:
        ArtifactError: the folder is a grid of another configuration.
        InputError: everything asked for needs titles, and there are none.
    """
    with clock.stage("prepare", done=order.dataset is not None or (order.out / "demo").exists()):
        dataset = _dataset(order, reporter)
    encoder = load_encoder(order.encoder)
    check_same(order.out, order.config, dataset=dataset.artifact.fingerprint, encoder=encoder.digest)
    if not has_titles(dataset):
        return _without_titles(order, choice, now, dataset, encoder, reporter)
    with clock.stage("encode titles", done=text_folder(dataset, encoder).exists()):
        _, item_text = embed_items(dataset, encoder, reporter)
    model = resolve_llm(order.model) if order.model else None
    shop = Workshop(order.out / "interests", dataset, encoder, model, order.config, reporter)
    sets = _interest_sets(order, choice, now, shop, clock)
    rows = grid_rows(choice.conditions, sets.method, sets.others)
    return Ground(order, choice, now, dataset, encoder, item_text, shop, sets, rows)


def _without_titles(
    order: Order, choice: Choice, now: Choice, dataset: OpenDataset, encoder: TextEncoder, reporter: Reporter
) -> Ground:
    if now.conditions and all(one.needs_text for one in now.conditions):
        raise InputError(
            f"{dataset.artifact.path} has no titles, and everything asked for needs them",
            hint="prepare the data with titles (--titles FILE), or ask for models that learn from behaviour alone",
        )
    left_out = [one.name for one in now.conditions if one.needs_text]
    if left_out:
        reporter.say(f"{dataset.artifact.path} has no titles; not run: {', '.join(left_out)}")
    shop = Workshop(order.out / "interests", dataset, encoder, None, order.config, reporter)
    rows = grid_rows([one for one in choice.conditions if not one.needs_text], [], {})
    return Ground(order, choice, now, dataset, encoder, None, shop, InterestSets([], {}), rows)


def _interest_sets(order: Order, choice: Choice, now: Choice, shop: Workshop, clock: StageClock) -> InterestSets:
    """What the cells of now need, and what the folder has for the rest of the grid."""
    wanted = {one.interests for one in now.conditions} - {"none"}
    cases = shop.model is not None and any(part.name in ("fig8", "fig9") for part in now.parts)
    at_hand = shop.model is not None and (shop.folder / shop.model.name).exists()
    if not (wanted or cases or order.interests or at_hand):
        return InterestSets([], {})
    with clock.stage("infer interests", done=shop.model is None or at_hand):
        method = method_interests(shop, order.interests)
    known = dict.fromkeys(one.interests for one in choice.conditions if one.interests not in ("none", "method"))
    if order.plan_only:
        return planned_sets(shop, method, list(known))
    sources = [one for one in known if one in wanted or (shop.folder / one).exists()]
    if not sources:
        return InterestSets(method, {})
    with clock.stage("infer interests of other exemplars", done=all((shop.folder / one).exists() for one in sources)):
        return interest_sets(shop, method, sources)


def _dataset(order: Order, reporter: Reporter) -> OpenDataset:
    if order.dataset is not None:
        return open_dataset(order.dataset, order.config)
    source = order.out / "source"
    write_demo_source(source)
    prepare_dataset(
        source, format="table", titles=None, columns={}, out=order.out / "demo", config=order.config, reporter=reporter
    )
    return open_dataset(order.out / "demo", order.config)

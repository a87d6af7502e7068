"""The one history of a run, over all its stages."""

from collections.abc import Sequence

from tltf.core.run_folder import RunFolder


class History:
    """Figures of every epoch, written down as each ends.

    Args:
        folder: Whose `history.csv` is kept up to date; None for none.

    Attributes:
        rows: A dict for each epoch.
        figures: Lists by name, a value for each epoch.
    """

    def __init__(self, folder: RunFolder | None = None):
        self._folder = folder
        self.rows: list[dict] = []
        self.figures: dict[str, list[float]] = {}

    def __len__(self) -> int:
        return len(self.rows)

    def put_back(self, rows: Sequence[dict]) -> None:
        """Begins with the epochs of a run that is resumed."""
        self.rows, self.figures = [dict(row) for row in rows], {}
        for row in rows:
            for name, value in row.items():
                if name not in ("epoch", "stage"):
                    self.figures.setdefault(name, []).append(value)

    def add(self, stage: str, logs: dict, rate: float, seconds: float) -> None:
        """Adds an epoch.

        Args:
            stage: The stage's name.
            logs: Figures as Keras gives them.
            rate: The learning rate of its last step; 0 where there was none.
            seconds: How long it took.
        """
        figures = {name: float(value) for name, value in logs.items()}
        figures |= {"learning_rate": rate, "seconds": seconds}
        for name, value in figures.items():
            self.figures.setdefault(name, []).append(value)
        self.rows.append({"epoch": len(self) + 1, "stage": stage} | figures)
        if self._folder is not None:
            self._folder.write_history(self.rows)

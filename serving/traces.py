"""What a scoring run leaves behind beside the scores: a line in the record of use, and a run in MLflow.

The line comes first, before anybody can see a score; a run that is killed in between leaves a line about scores that
never came, never scores without a line. The run comes last: the scores are complete without it, so an error of MLflow's
is told and takes nothing back.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from ..audit import Use, record
from ..training.tracking import RunRecord, close_orphans, log_inputs, running, write_record

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..training.references import LoadedModel
    from ..training.store import Store

__all__ = ["Trace", "model_name"]


@dataclass(frozen=True)
class Trace:
    """A scoring run as it is written down.

    Attributes
    ----------
    store : Store
    loaded : LoadedModel
    uri : str
        How the model was asked for.
    output : str
        Where the scores go.
    parameters : mapping
        What was asked for, as JSON can hold it.
    """

    store: Store
    loaded: LoadedModel
    uri: str
    output: str
    parameters: Mapping[str, Any] = field(default_factory=dict)

    def use(self, *, data: str, rows: int) -> str:
        """Put the use on record and wait until the disk has it; the digest of the line."""
        source = self.loaded.source
        use = Use(
            verb="score",
            model=source.version.name if source.version else self.uri,
            version=source.version.number if source.version else "",
            sha256=source.sha256,
            data=data,
            rows=rows,
            output=self.output,
            parameters=self.parameters,
        )
        return record(self.store.home, use)

    def run(self, told: RunRecord, *, digest: str) -> tuple[str, str]:
        """Log the run.

        Parameters
        ----------
        told : RunRecord
        digest : str
            Of the line in the record of use; the run carries it.

        Returns
        -------
        run_id, error : str
            One of the two is empty.
        """
        from mlflow.exceptions import MlflowException

        source = self.loaded.source
        params = {"model/version": model_name(self.loaded), "output": self.output, **told.params}
        tags = {"peculiar.sha256": source.sha256, "peculiar.audit": digest, **told.tags}
        name = f"score {self.output.rstrip('/').rpartition('/')[2]}"
        try:
            close_orphans(self.store)
            with running(self.store, "score", name=name) as run:
                if source.model_id:
                    log_inputs(run, model_id=source.model_id, context="scoring")
                write_record(run, replace(told, params=params, tags=tags))
        except (MlflowException, OSError) as error:
            return "", f"the scores are complete, but MLflow has no whole run about them: {error}"
        return run.run_id, ""


def model_name(loaded: LoadedModel) -> str:
    """Name and version of a model; of one that no registry knows, the beginning of its fingerprint."""
    version = loaded.source.version
    return f"{version.name}/{version.number}" if version else loaded.source.sha256[:12]

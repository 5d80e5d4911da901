"""Tasks run side by side; one that fails is named and the others are done."""

import pickle
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pytest
from rich.console import Console

from parley.agents.command_line import RunError
from studies import runner
from studies.runner import run_tasks
from studies.tasks import OUTCOME_FILE, Task


@dataclass(frozen=True, kw_only=True)
class Easy(Task):
    def perform(self, root):
        if self.variant == "broken":
            raise ValueError("this one cannot be done")
        return {"conditions": {"normal": {"rate": 0.5}}}


@pytest.fixture
def in_threads(monkeypatch):
    """Instead of processes, which take seconds to begin; what one would be sent is pickled all the same."""

    class Threads(ThreadPoolExecutor):
        def __init__(self, jobs, mp_context):
            assert mp_context.get_start_method() == "spawn"
            super().__init__(jobs)

        def submit(self, function, *arguments):
            function, arguments = pickle.loads(pickle.dumps((function, arguments)))
            return super().submit(function, *arguments)

    monkeypatch.setattr(runner, "ProcessPoolExecutor", Threads)


@pytest.mark.usefixtures("in_threads")
def test_all_are_done_and_the_failed_one_is_named(tmp_path):
    run_all(tmp_path)


@pytest.mark.slow
def test_processes_do_and_name_the_same(tmp_path):
    run_all(tmp_path)


def run_all(tmp_path):
    tasks = [Easy(part="rate", variant=name, seed=0) for name in ("good", "broken", "better")]
    console = Console(record=True, width=200, force_terminal=False)
    with pytest.raises(RunError, match=r"1 of 3 tasks failed: .*broken-seed0: this one cannot be done"):
        run_tasks(tasks, tmp_path, 1, console)
    assert "rate / good / seed 0: normal 50.0%" in console.export_text()
    done = [(task.folder(tmp_path) / OUTCOME_FILE).exists() for task in tasks]
    assert done == [True, False, True]


def test_what_is_done_is_not_run_again(tmp_path):
    task = Easy(part="rate", variant="good", seed=0)
    task.run(tmp_path)  # here, for a process of its own takes seconds to begin
    written = (task.folder(tmp_path) / OUTCOME_FILE).stat().st_mtime_ns
    run_tasks([task], tmp_path, 1, Console(quiet=True))
    assert (task.folder(tmp_path) / OUTCOME_FILE).stat().st_mtime_ns == written

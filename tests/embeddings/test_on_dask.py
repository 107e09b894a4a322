"""A Dask collection is embedded by the cluster: one gate for all, and no key in any task."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import dask.bag
import dask.dataframe
import pandas as pd
import pytest
from distributed import Client, LocalCluster, get_client

from cborg_magics.errors import BadSetting, BadTexts
from cborg_magics.ledger import Ledger
from tests.conftest import KEY
from tests.services.encoder import Encoder, vector

pytestmark = pytest.mark.filterwarnings("ignore")  # a cluster that ends warns of itself


@contextmanager
def cluster(home: Any, **environ: str) -> Iterator[Client]:
    """Four worker processes, with an environment of their own."""
    worker = {name: "" for name in os.environ if name.startswith("LITELLM_")}
    with (
        LocalCluster(  # type: ignore[no-untyped-call]
            n_workers=4,
            threads_per_worker=2,
            dashboard_address=None,
            env=worker | {"CBORG_HOME": str(home / "worker")} | environ,
        ) as four,
        Client(four) as client,  # type: ignore[no-untyped-call]
    ):
        yield client


@pytest.fixture
def here(encoder: Encoder, monkeypatch: pytest.MonkeyPatch) -> Encoder:
    monkeypatch.setenv("LITELLM_API_KEY", KEY)
    monkeypatch.setenv("LITELLM_BASE_URL", encoder.url)
    return encoder


def texts(count: int) -> list[str]:
    return [f"text {number}" for number in range(count)]


def test_five_requests_at_most_whatever_the_cluster_and_all_is_booked_at_home(
    here: Encoder, shell: Any, home: Any, tmp_path: Any
) -> None:
    here.latency = 0.05
    frame = pd.DataFrame({"text": texts(1300)}, index=pd.Index(range(1000, 2300), name="id"))
    shell.user_ns["column"] = dask.dataframe.from_pandas(frame, npartitions=8)["text"]
    shell.user_ns["bag"] = dask.bag.from_sequence([f"more {n}" for n in range(300)], npartitions=5)
    with cluster(tmp_path, LITELLM_API_KEY=KEY, LITELLM_BASE_URL=here.url) as client:
        shell.run_cell("%embed -o found column").raise_error()
        shell.run_cell("%embed -o more bag").raise_error()
        seen = str(client.get_task_stream()) + str(client.scheduler_info())  # type: ignore[no-untyped-call]
        shell.run_cell("%embed -o again column").raise_error()
    found = shell.user_ns["found"]
    assert found.vectors.tolist() == [vector(text) for text in texts(1300)]
    assert list(found.labels) == list(range(1000, 2300))
    assert shell.user_ns["more"].vectors.tolist() == [vector(f"more {n}") for n in range(300)]
    assert 2 <= here.most_at_once <= 5, "measured at the upstream"
    assert set(here.answered.values()) == {1}, "the second run asks for nothing"
    rows = Ledger(home).rows()
    assert sum(row.usage.prompt for row in rows if row.usage) == 2 * 1600
    assert KEY not in seen


def test_two_notebooks_on_one_cluster_share_the_gate(
    here: Encoder, home: Any, tmp_path: Any
) -> None:
    from cborg_magics.embeddings import on_dask
    from cborg_magics.embeddings.call import call
    from cborg_magics.session import Session

    here.latency = 0.1
    with cluster(tmp_path, LITELLM_API_KEY=KEY, LITELLM_BASE_URL=here.url) as client:
        threads = []
        for notebook in range(2):
            session = Session.from_environment()
            send = on_dask.sender(session, client)
            for number in range(5):
                ask = (session, [f"{notebook} {number}"], "nomic-embed-text")
                threads.append(threading.Thread(target=call, args=ask, kwargs={"send": send}))
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(here.answered) == 10
    assert here.most_at_once <= 5


def test_a_worker_that_is_killed_in_the_middle_costs_nothing_of_the_result(
    here: Encoder, shell: Any, tmp_path: Any
) -> None:
    here.latency = 0.1
    shell.user_ns["bag"] = dask.bag.from_sequence(texts(64 * 20), npartitions=4)
    with cluster(tmp_path, LITELLM_API_KEY=KEY, LITELLM_BASE_URL=here.url) as client:
        workers = client.run(os.getpid)  # type: ignore[no-untyped-call]

        def kill() -> None:
            while len(here.texts()) < 20:  # of some 20 and more
                time.sleep(0.01)
                if len(here.texts()) >= 8:
                    break
            os.kill(min(workers.values()), 9)

        killer = threading.Thread(target=kill)
        killer.start()
        shell.run_cell("%embed -o found bag").raise_error()
        killer.join()
    found = shell.user_ns["found"]
    assert found.vectors.tolist() == [vector(text) for text in texts(64 * 20)]
    assert here.most_at_once <= 5


def test_workers_without_the_key_are_one_line(here: Encoder, shell: Any, tmp_path: Any) -> None:
    shell.user_ns["bag"] = dask.bag.from_sequence(["a", "b"], npartitions=1)
    with cluster(tmp_path), pytest.raises(BadSetting, match="a worker would ask") as problem:
        shell.run_cell("%embed bag").raise_error()
    assert "in the workers' environment" in str(problem.value)


def test_rows_that_hold_no_text_are_named(here: Encoder, shell: Any, tmp_path: Any) -> None:
    shell.user_ns["bag"] = dask.bag.from_sequence(["a", None, "c", ""], npartitions=2)
    with cluster(tmp_path), pytest.raises(BadTexts, match=r"row 1 .* row 3"):
        shell.run_cell("%embed bag").raise_error()


def test_without_a_cluster_it_is_one_line(here: Encoder, shell: Any) -> None:
    with pytest.raises(ValueError, match="No"):
        get_client()
    shell.user_ns["bag"] = dask.bag.from_sequence(["a"], npartitions=1)
    with pytest.raises(BadSetting, match="there is none"):
        shell.run_cell("%embed bag").raise_error()

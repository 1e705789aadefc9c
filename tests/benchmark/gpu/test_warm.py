"""Everything that is compiled is compiled beforehand, once, and in processes of their own."""

import pytest

from gattn.benchmark.gpu import warm as module
from gattn.benchmark.gpu import worker
from gattn.benchmark.gpu.problems import PROBLEMS, cases
from gattn.benchmark.gpu.warm import jobs_of, warm, warm_all
from gattn.benchmark.providers import PROVIDERS


def test_jobs_cover_the_plan():
    jobs = jobs_of(cases(), 8)
    assert len(jobs) <= 16
    assert len({job.name for job in jobs}) == len(jobs)
    operators = {case for job in jobs for case in job.cases if case.is_operator}
    assert operators == {case for case in cases() if case.is_operator and not case.captured}
    assert sum(job.cases[0].compiled for job in jobs) == 8
    assert not any(job.cases[0].compiled for job in jobs_of(cases(), 0))


def test_large_graphs_have_smaller_ones_like_them():
    for name in ("products", "reddit"):
        problem = PROBLEMS[name]
        graph = problem.like(0, "cpu")
        mean = {"products": 50.5, "reddit": 492.0}[name]
        assert graph.edge_index.shape[1] / graph.num_nodes == pytest.approx(mean, rel=0.01)
        assert graph.edge_index.shape[1] < 3_000_000


def test_a_job_runs_all_of_its_cases(session, monkeypatch):
    ran = []
    monkeypatch.setattr(module, "_run", lambda build, inputs: ran.append(inputs))
    asked = session()
    for job in jobs_of(worker.cases_of(asked), 8):
        warm(asked, job)
    assert [given.layer.kind for given in ran] == [
        *("gat", "gat"),
        "gatv2",
        "dot",
        "dot+edges",
        "dot",
    ]


def test_a_job_runs_both_passes(session):
    (job,) = jobs_of([case for case in worker.cases_of(session()) if case.against], 8)
    warm(session(), job)


def test_a_layer_is_compiled_on_its_own_graph(session, monkeypatch):
    monkeypatch.setitem(PROVIDERS, "pyg-compile", PROVIDERS["pyg"])
    seen = []
    run = module._run
    monkeypatch.setattr(
        module, "_run", lambda build, inputs: (seen.append(inputs), run(build, inputs))
    )
    job = next(job for job in jobs_of(cases(), 8) if job.name == "molecules GATConv-4x32")
    warm(session(), job)
    assert seen[0].num_nodes == PROBLEMS["molecules"].quick(0, "cpu").num_nodes


def test_how_each_ended_is_a_row():
    jobs = jobs_of(cases(), 1)[:3]
    row = warm_all(jobs, lambda place: [0, None, 1][place])
    assert (row["measure"], row["status"]) == ("warm", "ok")
    assert [(found["name"], found["code"]) for found in row["jobs"]] == [
        (job.name, code) for job, code in zip(jobs, (0, None, 1), strict=True)
    ]


def test_workers_are_given_their_job(session, monkeypatch):
    asked = []
    monkeypatch.setattr(
        worker, "run_limited", lambda command, is_late, **streams: asked.append(command[-1]) or 0
    )
    row = worker.run_warm(session(only=("gat-", "hub")), 60)
    assert len(row["jobs"]) == len(asked) == 2
    assert all('"job": ' in text for text in asked)
    monkeypatch.setattr(worker, "warm", lambda session, job: asked.append(job.name))
    assert [worker.main(text) for text in sorted(asked)] == [0, 0]
    assert sorted(asked[2:]) == ["dot bfloat16", "gat float32"]

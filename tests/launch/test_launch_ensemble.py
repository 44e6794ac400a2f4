"""A run that consists of runs of its own kind: each is complete in its folder, and WORKDIR has their table."""

import json

import pytest
from test_launch_kind import ALL, TOY, count, toy_config

from vdm_jax.base.errors import UserError
from vdm_jax.launch.dry_run import describe_run
from vdm_jax.launch.kind import Job, RunOptions
from vdm_jax.launch.run import run
from vdm_jax.launch.status import remaining
from vdm_jax.launch.store import alone_at


def members(config):
    """One run for each stop in `count.place`."""
    found = {}
    for stop in config.count.place.split(",") if config.count.place else ():
        own = config.copy_and_resolve_references()
        own.update_from_flattened_dict({"count.stop": int(stop), "count.place": ""})
        found[f"stop={stop}"] = own
    return found


def compare(folder, runs, missing):
    (folder / "sweep.md").write_text(f"{sorted(runs)} {sorted(missing)}")
    return f"table of {len(runs)} runs"


MANY = TOY._replace(members=members, compare=compare)
KINDS = {"toy": MANY}
BOTH = toy_config(place="3,4")


def test_each_member_is_a_complete_run(tmp_path, capsys):
    assert run(KINDS, BOTH, tmp_path, ALL) == "done"
    for stop, total in ((3, 3), (4, 6)):
        folder = tmp_path / "members" / f"stop={stop}"
        assert json.loads((folder / "sum.json").read_text())["sum"] == total
        stored = json.loads((folder / "config.json").read_text())["count"]
        assert (stored["stop"], stored["place"]) == (stop, "") and (folder / "claims" / "count.json").exists()
        assert remaining(MANY, toy_config(stop=stop), folder, ALL) == []
        assert run(KINDS, toy_config(stop=stop), folder, ["add"]) == "done", "alone, as any run"
    assert json.loads((tmp_path / "config.json").read_text())["count"]["place"] == "3,4"
    assert not (tmp_path / "lines.txt").exists() and not (tmp_path / "claims").exists()
    out = capsys.readouterr().out
    assert "table of 2 runs" in out and "add: member 2 of 2: stop=4\nsum 6" in out
    assert (tmp_path / "sweep.md").read_text() == "['stop=3', 'stop=4'] []"


def test_what_remains_is_what_remains_of_a_member(tmp_path):
    run(KINDS, BOTH, tmp_path, ALL)
    assert remaining(MANY, BOTH, tmp_path, ALL) == []
    grown = toy_config(place="3,4,5")
    assert remaining(MANY, grown, tmp_path, ALL) == ALL
    lines = list(describe_run(KINDS, grown, tmp_path, ALL))
    assert f"members: 3 runs in {tmp_path / 'members'}: stop=3, stop=4, stop=5" in lines
    assert "job count: to do of 1 of 3 members" in lines
    assert not (tmp_path / "members" / "stop=5").exists(), "a dry run writes nothing"
    (tmp_path / "members" / "stop=4" / "sum.json").unlink()
    assert remaining(MANY, BOTH, tmp_path, ALL) == ["add"]


def test_a_job_may_do_all_members_at_once_alone_in_their_folders(tmp_path):
    seen = []

    def count_all(runs, options):
        seen.append([folder.name for _, folder in runs])
        for config, folder in runs:
            with pytest.raises(UserError, match="at the job count"), alone_at(folder, ".count"):
                pass
            assert (folder / "claims" / "count.json").exists() and options.stop_after == 5
            count(config, folder)
        return "done"

    at_once = {"toy": MANY._replace(jobs=MANY.jobs | {"count": MANY.jobs["count"]._replace(run_members=count_all)})}
    run(at_once, BOTH, tmp_path, ALL, RunOptions(stop_after=5))
    assert seen == [["stop=3", "stop=4"]]
    assert json.loads((tmp_path / "members" / "stop=4" / "sum.json").read_text())["sum"] == 6


def test_one_that_is_stopped_ends_the_others(tmp_path):
    def stop(built, workdir, options):
        workdir.mkdir(parents=True, exist_ok=True)
        return "stopped"

    job = Job(stop, reads=("count",), writes="sum.json")
    kinds = {"toy": MANY._replace(jobs={"add": job}, compare=None)}
    assert run(kinds, BOTH, tmp_path, ["add"]) == "stopped"
    assert [path.name for path in (tmp_path / "members").iterdir()] == ["stop=3"]


def test_a_folder_holds_one_run_or_an_ensemble(tmp_path):
    run(KINDS, BOTH, tmp_path / "many", ALL)
    with pytest.raises(UserError, match=r"holds an ensemble, whose members are in .*members; name one of these, or"):
        run(KINDS, toy_config(), tmp_path / "many", ALL)
    run(KINDS, toy_config(), tmp_path / "one", ALL)
    with pytest.raises(UserError, match=r"holds lines\.txt of a single run; choose another --workdir"):
        run(KINDS, BOTH, tmp_path / "one", ALL)
    with pytest.raises(UserError, match=r"stop=3.*count\.start is 0 there and 1 here"):
        run(KINDS, toy_config(start=1, place="3"), tmp_path / "many", ALL)


def test_a_mistake_of_a_member_is_told_with_its_name_before_anything_is_written(tmp_path):
    def build(config):
        if config.count.stop == 4:
            raise UserError("config.count.stop=4; expected 3")
        return config

    with pytest.raises(UserError, match=r"member 'stop=4': config\.count\.stop=4; expected 3"):
        run({"toy": MANY._replace(build=build)}, BOTH, tmp_path / "new", ALL)
    assert not (tmp_path / "new").exists()

"""A toy kind is one declaration: claims, locks, refusals, what remains, needs and a sweep's table follow from it."""

import json
import pathlib
import signal
import time
from contextlib import nullcontext

import pytest
from ml_collections import ConfigDict

from vdm_jax.base.errors import UserError
from vdm_jax.base.files import write_json
from vdm_jax.base.progress import bar
from vdm_jax.launch.choices import Choice
from vdm_jax.launch.kind import Job, Kind, Need, RunOptions, from_files, jobs_of
from vdm_jax.launch.memory import OutOfMemory
from vdm_jax.launch.run import run, run_built
from vdm_jax.launch.settings import plain
from vdm_jax.launch.status import is_compared, remaining
from vdm_jax.launch.store import alone_at, check, claim


def toy_config(**count) -> ConfigDict:
    count = dict(start=0, stop=3, place="", told=1) | count
    return ConfigDict(dict(kind="toy", name="toy", count=count, show=dict(digits=2))).lock()


def count(config, workdir):
    """Adds a line a number to lines.txt; goes on from those that are there."""
    lines = workdir / "lines.txt"
    done = len(lines.read_text().split()) if lines.exists() else 0
    with lines.open("a") as file:
        for number in range(config.count.start + done, config.count.stop):
            file.write(f"{number}\n")
    return "done"


def add(config, workdir):
    numbers = list(map(int, (workdir / "lines.txt").read_text().split()))
    write_json(workdir / "sum.json", {"sum": sum(numbers), "told": config.count.told, "settings": plain(config)})
    return "done"


def is_counted(config, workdir):
    lines = workdir / "lines.txt"
    return lines.exists() and len(lines.read_text().split()) == config.count.stop - config.count.start


TOY = Kind(
    build=lambda config: config,
    jobs={
        "count": Job(
            from_files(count),
            reads=("count",),
            ignores=("count.place",),
            judges=("count.told",),
            extends=("count.stop",),
            keeps=("lines.txt",),
            is_done=is_counted,
        ),
        "add": Job(
            from_files(add), reads=("count",), ignores=("count.place",), after=("count",), writes="sum.json",
            memory_hint="lower config.count.stop", summary=lambda record: f"sum {record['sum']}",
        ),
    },
    inputs=lambda config: {"data": f"from {config.count.start // 100}"},
    compared="add",
)  # fmt: skip
KINDS = {"toy": TOY}
ALL = ["count", "add"]


@pytest.mark.parametrize(("keeps", "stays"), [("out/drafts", True), ("lines.txt", False)])
def test_drafts_leave_the_config_of_the_workdir_and_bind_their_own_job_alone(tmp_path, keeps, stays):
    job = Job(from_files(count), reads=("count",), keeps=(keeps,), leaves=("out",), writes="out/about.json")
    kind = Kind(lambda config: config, {"count": job, "show": Job(job.run, reads=("show",))})
    for stop in (3, 5):
        claim(kind, "count", toy_config(stop=stop), tmp_path, {})
    own, claimed = (json.loads((tmp_path / name).read_text()) for name in ("config.json", "claims/count.json"))
    assert own["count"]["stop"] == (3 if stays else 5) and claimed["settings"]["count"]["stop"] == 5
    (tmp_path / "out").mkdir()
    (tmp_path / keeps).write_text("")
    for jobs, refused in (["count"], True), (["show"], not stays):
        with pytest.raises(UserError, match="count.stop is 5 there and 9 here") if refused else nullcontext():
            check({"toy": kind}, toy_config(stop=9), tmp_path, {}, None, jobs)


def test_its_jobs_run_in_their_order_and_are_not_done_again(tmp_path, capsys):
    assert remaining(TOY, toy_config(), tmp_path, ["add", "count"]) == ALL
    assert run(KINDS, toy_config(), tmp_path, ["add", "count"]) == "done"
    assert json.loads((tmp_path / "sum.json").read_text())["sum"] == 3 and capsys.readouterr().out == "sum 3\n"
    assert remaining(TOY, toy_config(), tmp_path, ALL) == [] and is_compared(TOY, toy_config(), tmp_path)
    stated = json.loads((tmp_path / "claims" / "count.json").read_text())
    assert stated == {"kind": "toy", "settings": {"count": plain(toy_config())["count"]}, "inputs": {"data": "from 0"}}
    assert not (tmp_path / "claims" / "add.json").exists(), "what is only made again claims nothing"


def counts_until(number, config, workdir):
    """`count` that gets SIGTERM at a number."""
    with (workdir / "lines.txt").open("a") as file:
        for i in bar("numbers")(range(config.count.stop)):
            if i == number:
                signal.raise_signal(signal.SIGTERM)
            print(i, file=file, flush=True)


KEPT = "what was complete is saved in lines.txt, and the same command goes on from there"


@pytest.mark.parametrize(
    ("job", "run_until", "saved"),
    [
        ("count", counts_until, f"at numbers: 2 of 3; {KEPT}"),
        ("add", counts_until, "at numbers: 2 of 3; nothing of it is saved, and the same command starts it again"),
        ("count", lambda *_: signal.raise_signal(signal.SIGTERM), KEPT),
    ],
)
def test_sigterm_stops_any_job_with_a_sentence_on_what_is_saved(tmp_path, capsys, job, run_until, saved):
    before = signal.getsignal(signal.SIGTERM)
    run(KINDS, toy_config(stop=1), tmp_path, ["count"])
    stopping = TOY.jobs[job]._replace(run=from_files(lambda config, workdir: run_until(2, config, workdir)))
    kinds = {"toy": TOY._replace(jobs=TOY.jobs | {job: stopping})}
    assert run(kinds, toy_config(), tmp_path, [job, "add"]) == "stopped"
    told = capsys.readouterr().out
    assert told.startswith(f"{job}: stopped by SIGTERM") and told.endswith(f"{saved}\n") and told.count("\n") == 1
    assert not (tmp_path / "sum.json").exists() and signal.getsignal(signal.SIGTERM) == before


def test_sigterm_before_the_first_job(tmp_path, capsys):
    kinds = {"toy": TOY._replace(build=lambda _: signal.raise_signal(signal.SIGTERM))}
    assert run(kinds, toy_config(), tmp_path, ALL) == "stopped"
    assert "stopped by SIGTERM" in capsys.readouterr().out and not list(tmp_path.iterdir())


def test_other_settings_are_refused_where_something_is_kept(tmp_path):
    run(KINDS, toy_config(), tmp_path, ALL)
    with pytest.raises(UserError, match=r"holds another config: count\.start is 0 there and 1 here; choose another"):
        run(KINDS, toy_config(start=1), tmp_path, ["add"])
    with pytest.raises(UserError, match="holds results of data from 0, but the data now are from 1; choose another"):
        run_built(KINDS, toy_config(start=100), toy_config(), tmp_path, ["add"])
    assert run(KINDS, toy_config(place="elsewhere"), tmp_path, ALL) == "done"


@pytest.mark.parametrize(("settings", "left"), [({"told": 2}, ["add"]), ({"stop": 5}, ALL), ({"place": "x"}, [])])
def test_what_judges_and_what_extends_may_change(tmp_path, settings, left):
    run(KINDS, toy_config(), tmp_path, ALL)
    other = toy_config(**settings)
    assert remaining(TOY, other, tmp_path, ALL) == left
    assert run(KINDS, other, tmp_path, ALL) == "done" and remaining(TOY, other, tmp_path, ALL) == []
    assert len((tmp_path / "lines.txt").read_text().split()) == other.count.stop


def test_a_folder_of_another_kind_is_refused(tmp_path):
    other = Kind(lambda config: config, {"paint": Job(from_files(count), reads=("count",), keeps=("picture.txt",))})
    (tmp_path / "picture.txt").touch()
    with pytest.raises(UserError, match="holds picture.txt of another kind of run"):
        run(KINDS | {"other": other}, toy_config(), tmp_path, ALL)
    alike = Kind(TOY.build, TOY.jobs)
    (tmp_path / "b").mkdir()
    run(KINDS, toy_config(), tmp_path / "b", ALL)
    config = toy_config()
    with config.unlocked():
        config.kind = "alike"
    with pytest.raises(UserError, match="kind is 'toy' there and 'alike' here"):
        run(KINDS | {"alike": alike}, config, tmp_path / "b", ALL)


def test_one_process_a_job(tmp_path):
    pytest.importorskip("fcntl")
    with alone_at(tmp_path, ".count"), pytest.raises(UserError, match="another process is at the job count in"):
        run(KINDS, toy_config(), tmp_path, ALL)
    assert not (tmp_path / "lines.txt").exists()


def test_a_record_that_is_required(tmp_path):
    needy = TOY.jobs["add"]._replace(requires=("first",), after=("first",))
    jobs = {"first": TOY.jobs["add"]._replace(writes="first.json", after=()), "add": needy}
    kinds = {"toy": TOY._replace(jobs=jobs)}
    with pytest.raises(UserError, match="no first.json in .* which the job add needs; --jobs=first,add makes it first"):
        run(kinds, toy_config(), tmp_path, ["add"])
    write_json(tmp_path / "first.json", {"settings": plain(toy_config(start=4))})
    with pytest.raises(UserError, match=r"first\.json.* is of other settings: count\.start is 4 there and 0 here"):
        run(kinds, toy_config(), tmp_path, ["add"])


def test_too_little_memory_names_what_to_lower(tmp_path):
    def too_much(*_):
        raise MemoryError

    jobs = TOY.jobs | {"add": TOY.jobs["add"]._replace(run=too_much)}
    told = r"^add: too little memory .*; lower config\.count\.stop, or use more devices"
    with pytest.raises(OutOfMemory, match=told):
        run({"toy": TOY._replace(jobs=jobs)}, toy_config(), tmp_path, ALL)


def test_a_job_that_reads_nothing_needs_nothing_built(tmp_path):
    def build(_):
        raise AssertionError

    shown = []
    job = Job(lambda built, workdir, options: shown.append((built, options)) or "done", reads=())
    options = RunOptions(stop_after=1.0)
    assert run({"toy": Kind(build, {"show": job})}, toy_config(), tmp_path, ["show"], options) == "done"
    assert shown == [(None, options)]


def test_a_kind_with_sections_has_a_report_and_a_nothing_idle(tmp_path):
    assert list(jobs_of(TOY._replace(sections=("page",)))) == [*ALL, "report"]
    idle = TOY._replace(jobs={"count": TOY.jobs["count"]._replace(idle=lambda config: not config.count.stop)})
    assert remaining(idle, toy_config(stop=0), tmp_path, ["count"]) == []
    run({"toy": idle}, toy_config(stop=0), tmp_path, ["count"])
    assert not (tmp_path / "claims").exists()


# ---- needs ----------------------------------------------------------------------------------------------------------


def chained_config(**settings) -> ConfigDict:
    settings = dict(times=2, first="") | settings
    return ConfigDict(dict(kind="chained", name="chained", product=settings)).lock()


def multiply(built, workdir):
    config, found = built
    write_json(workdir / "product.json", {"product": found * config.product.times, "settings": plain(config)})
    return "done"


def build_chained(config):
    with open(f"{config.product.first}/sum.json") as file:
        return config, json.load(file)["sum"]


CHAINED = Kind(
    build=build_chained,
    jobs={"multiply": Job(from_files(multiply), reads=("product",), ignores=("product.first",), writes="product.json")},
    inputs=lambda built: {"data": str(built[1])},
    needs=lambda config: {} if config.product.first else {
        "sums": Need(toy_config(), {"count.stop": 5}, jobs=("count", "add"), setting="product.first")
    },
)  # fmt: skip


def test_a_run_that_is_needed_comes_first_and_is_left_when_complete(tmp_path, capsys):
    kinds, workdir = KINDS | {"chained": CHAINED}, tmp_path / "run"
    assert run(kinds, chained_config(), workdir, ["multiply"]) == "done"
    assert json.loads((workdir / "product.json").read_text())["product"] == 2 * sum(range(5))
    first = workdir / "needs" / "sums"
    assert f"needs: {first}: count,add\n" in capsys.readouterr().out
    assert remaining(CHAINED, chained_config(), workdir, ["multiply"]) == []
    (first / "sum.json").unlink()  # as if it had been killed
    run(kinds, chained_config(times=3), workdir, ["multiply"])
    assert f"needs: {first}: add\n" in capsys.readouterr().out
    run(kinds, chained_config(times=3), workdir, ["multiply"])
    assert "needs" not in capsys.readouterr().out
    assert run(kinds, chained_config(first=str(first)), tmp_path / "other", ["multiply"]) == "done"
    assert not (tmp_path / "other" / "needs").exists()


def test_a_need_uses_the_folder_of_an_earlier_one(tmp_path, monkeypatch, capsys):
    """3 numbers are summed, the sum is doubled, the product is tripled."""
    by_three = Need(
        chained_config(times=3), jobs=("multiply",), setting="product.first", uses={"product.first": "sums"}
    )
    needs = {"sums": Need(toy_config(), jobs=("count", "add")), "product": by_three}
    last = CHAINED._replace(
        build=lambda config: (
            config,
            json.loads(pathlib.Path(config.product.first, "product.json").read_text())["product"],
        ),
        needs=lambda config: needs,
    )
    kinds = KINDS | {"chained": CHAINED, "last": last}
    config = ConfigDict(dict(kind="last", name="last", product=dict(times=2, first=""))).lock()
    monkeypatch.chdir(tmp_path)
    workdir = pathlib.Path("run")  # what is used has an absolute path
    assert run(kinds, config, workdir, ["multiply"]) == "done"
    assert json.loads((workdir / "product.json").read_text())["product"] == 2 * 3 * sum(range(3))
    stated = json.loads((workdir / "needs" / "product" / "config.json").read_text())["product"]["first"]
    assert stated == str(tmp_path / "run" / "needs" / "sums")
    (workdir / "needs" / "product" / "product.json").unlink()
    (workdir / "product.json").unlink()
    capsys.readouterr()
    moved = workdir.rename("moved")
    assert run(kinds, config, moved, ["multiply"]) == "done"
    assert "needs: moved/needs/product: multiply\n" in capsys.readouterr().out, "the sums are complete there too"
    assert json.loads((moved / "product.json").read_text())["product"] == 18


def test_all_needs_are_checked_before_the_first_one_runs(tmp_path):
    def check(config):
        if config.product.times < 0:
            raise UserError(f"config.product.times={config.product.times}; expected at least 0")

    by_less = Need(chained_config(times=-1), uses={"product.first": "sums"})
    needs = {"sums": Need(toy_config(), jobs=("count", "add")), "product": by_less}
    last = Kind(lambda config: config, {"show": Job(lambda *_: "done", reads=("product",))}, needs=lambda _: needs)
    kinds = KINDS | {"chained": CHAINED._replace(check=check), "last": last}
    config = ConfigDict(dict(kind="last", name="last", product={})).lock()
    with pytest.raises(UserError, match="^needs/product: config.product.times=-1; expected at least 0"):
        run(kinds, config, tmp_path, ["show"])
    assert not list(tmp_path.iterdir())


def test_a_need_that_uses_what_does_not_come_before_it_is_a_mistake(tmp_path):
    needs = {"sums": Need(toy_config(), uses={"count.place": "later"}), "later": Need(toy_config())}
    kinds = KINDS | {"chained": CHAINED._replace(needs=lambda config: needs)}
    with pytest.raises(ValueError, match=r"the need 'sums' uses 'later'; expected one of the needs before it, \[\]"):
        run(kinds, chained_config(), tmp_path, ["multiply"])


def test_a_run_that_is_stopped_stops_the_one_that_needs_it(tmp_path):
    job = TOY.jobs["count"]._replace(run=lambda built, workdir, options: "stopped")
    kinds = {"toy": TOY._replace(jobs=TOY.jobs | {"count": job}), "chained": CHAINED}
    assert run(kinds, chained_config(), tmp_path, ["multiply"]) == "stopped"
    assert not (tmp_path / "product.json").exists()


def test_a_config_file_may_be_what_is_needed(tmp_path):
    file = tmp_path / "toy.py"
    lines = ["from ml_collections import ConfigDict", "def get_config(variant=''):"]
    lines += ["    count = dict(start=0, stop=int(variant), place='', told=1)"]
    lines += ["    return ConfigDict(dict(kind='toy', name='toy', count=count)).lock()"]
    file.write_text("\n".join(lines))
    need = {"sums": Need(f"{file}:4", setting="product.first")}
    kinds = KINDS | {"chained": CHAINED._replace(needs=lambda config: need)}
    assert run(kinds, chained_config(), tmp_path / "run", ["multiply"]) == "done"
    assert json.loads((tmp_path / "run" / "product.json").read_text())["product"] == 12


def test_a_need_that_sets_what_has_no_effect_is_refused(tmp_path):
    choice = Choice("count.told", {"1": (), "2": ("count.stop",)})
    kinds = {"toy": TOY._replace(choices=(choice,)), "chained": CHAINED}
    with pytest.raises(UserError, match=r"^needs/sums: config\.count\.stop=5 has no effect with count\.told=1, "):
        run(kinds, chained_config(), tmp_path, ["multiply"])
    assert not list(tmp_path.iterdir())


def test_a_need_with_other_settings_is_refused(tmp_path):
    """The job keeps files and writes no record: as many lines as before, of other numbers."""

    def kinds(**count):
        need = {"sums": Need(toy_config(**count), jobs=("count",))}
        jobs = {"show": Job(lambda *_: "done", reads=("product",))}
        return KINDS | {"chained": Kind(lambda config: config, jobs, needs=lambda config: need)}

    run(kinds(), chained_config(), tmp_path, ["show"])
    assert run(kinds(), chained_config(), tmp_path, ["show"]) == "done"
    with pytest.raises(UserError, match=r"needs/sums holds another config: count\.start is 0 there and 1 here"):
        run(kinds(start=1, stop=4), chained_config(), tmp_path, ["show"])


def test_needs_and_the_run_share_the_time(tmp_path):
    granted = []

    def takes(_, workdir, options):
        granted.append(options.stop_after)
        time.sleep(0.02)
        return "done"

    toy = Kind(lambda config: config, {"count": Job(takes, reads=("count",))})
    needs = {name: Need(toy_config(), jobs=("count",)) for name in ("a", "b")}
    last = Kind(lambda config: config, {"show": Job(takes, reads=("product",))}, needs=lambda config: needs)
    run({"toy": toy, "chained": last}, chained_config(), tmp_path, ["show"], RunOptions(stop_after=9.0))
    first, second, own = granted
    assert first <= 9 and second <= first - 0.02 and 8 < own <= second - 0.02
    granted.clear()
    run({"toy": toy, "chained": last}, chained_config(), tmp_path, ["show"], RunOptions(stop_after=0.01))
    assert min(granted) == granted[-1] > 0, "it stops as soon as it can"


def test_what_another_process_kept_since_the_checks_is_not_claimed(tmp_path):
    def first(config, workdir):  # while it runs, another process counts with other settings
        assert run(KINDS, toy_config(start=1), workdir, ["count"]) == "done"
        write_json(workdir / "first.json", {"settings": plain(config)})
        return "done"

    jobs = {"first": Job(from_files(first), reads=("show",), writes="first.json"), **TOY.jobs}
    with pytest.raises(UserError, match=r"count\.start is 1 there and 0 here"):
        run({"toy": TOY._replace(jobs=jobs)}, toy_config(), tmp_path, ["first", "count"])
    assert (tmp_path / "lines.txt").read_text() == "1\n2\n"


def test_a_job_that_keeps_nothing_still_names_the_config_of_its_folder(tmp_path):
    def show(config, workdir):
        write_json(workdir / "show.json", {"settings": plain(config)})
        return "done"

    jobs = {"show": Job(from_files(show), reads=("show",), writes="show.json")}
    run({"toy": Kind(lambda config: config, jobs)}, toy_config(), tmp_path / "new", ["show"])
    assert json.loads((tmp_path / "new" / "config.json").read_text())["kind"] == "toy"
    assert not (tmp_path / "new" / "claims").exists()


def test_a_page_is_not_written_over_that_of_another_kind(tmp_path):
    run(KINDS, toy_config(), tmp_path, ALL)
    other = Kind(lambda config: config, {}, sections=("section",))
    with pytest.raises(UserError, match=r"holds lines\.txt of another kind of run"):
        run(KINDS | {"other": other}, ConfigDict(dict(kind="other", name="x")), tmp_path, ["report"])

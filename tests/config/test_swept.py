import itertools
import pathlib
import pickle

import hydra
import pytest
from hydra.core.global_hydra import GlobalHydra
from hydra.types import RunMode
from omegaconf import OmegaConf

from modelzoo.config import search_path, swept

CONF = search_path.conf_directory()
MODELS = sorted(each.stem for each in (CONF / "model").glob("*.yaml"))

INITS = sorted(each.stem for each in (CONF / "init").glob("*.yaml"))


@pytest.fixture
def loader():
    search_path.register()
    with hydra.initialize_config_dir(str(CONF), **search_path.INITIALIZE):
        yield GlobalHydra.instance().config_loader()


def master(loader, typed=("model=mlp",)):
    return loader.load_configuration(search_path.CONFIG_NAME, list(typed), RunMode.MULTIRUN)


def both(loader, overrides, of=None):
    """What Hydra composes, and what is composed here after another job of the same sweep."""
    of = of or master(loader)
    ours = swept.SweepLoader(loader)
    ours.load_sweep_config(of, [*overrides, "seed=12345"])
    return loader.load_sweep_config(of, overrides), ours.load_sweep_config(of, overrides)


def same(one, other):
    assert OmegaConf.to_yaml(other) == OmegaConf.to_yaml(one)
    assert OmegaConf.is_struct(other) == OmegaConf.is_struct(one)
    assert OmegaConf.is_readonly(other.hydra) == OmegaConf.is_readonly(one.hydra)


def test_a_job_is_composed_as_hydra_composes_it_for_every_model_and_init(loader):
    of = master(loader)
    for model, init in zip(itertools.cycle(MODELS), INITS, strict=False):
        same(*both(loader, [f"model={model}", f"init={init}", "seed=3", "dtype=float64"], of))


@pytest.mark.parametrize(
    "overrides",
    [
        ["seed=3"],
        ["seed=3", "model=nested"],
        ["+model.args.more=4", "seed=3"],
        ["seed=3", "+model.args.more=4"],
        ["~model.layers", "seed=3"],
        ["++model.args.hidden=5", "seed=3"],
        ["model.inputs.x=[3,20]", "seed=3"],
        ["seed=3", "seed=4"],
        ["seed=null", "show='*.bias'"],
        ["load.rename={a: b}", "load.skip=[head.*]", "seed=1"],
        ["load.file=${seed}.pt", "seed=1"],
        ["+init@model.other=xavier", "seed=3"],
        ["load/names=timm_vit", "seed=3"],
        ["hydra.job.name=other", "seed=3"],
        ["seed=3", "hydra.job.config.override_dirname.exclude_keys=[seed]"],
        ["export=[source]", "seed=3", "memory=4GB"],
        ["model=mlp"],
        [],
    ],
)
def test_a_job_is_composed_as_hydra_composes_it_whatever_is_typed(loader, overrides):
    same(*both(loader, overrides))


def test_the_name_of_a_jobs_directory_is_written_as_its_settings_say(loader):
    settings = "hydra.job.config.override_dirname"
    of = master(loader, ["model=mlp", f"{settings}.item_sep=';'", f"{settings}.exclude_keys=[dtype]"])
    one, other = both(loader, ["model=nested", "seed=3", "dtype=float64"], of)
    assert other.hydra.job.override_dirname == one.hydra.job.override_dirname == "model=nested;seed=3"


@pytest.mark.parametrize("wrong", ["sed=3", "model.layers.no.such=3", "seed.of=3", "nothing@model=mlp"])
def test_what_hydra_refuses_is_refused_in_its_words(loader, wrong):
    of = master(loader)
    with pytest.raises(hydra.errors.HydraException) as one:
        loader.load_sweep_config(of, ["dtype=float64", wrong])
    ours = swept.SweepLoader(loader)
    ours.load_sweep_config(of, ["dtype=float32"])
    with pytest.raises(hydra.errors.HydraException) as other:
        ours.load_sweep_config(of, ["dtype=float64", wrong])
    assert (str(other.value), str(other.value.__cause__)) == (str(one.value), str(one.value.__cause__))


def test_jobs_have_nothing_in_common_that_one_could_change(loader):
    of, ours = master(loader), swept.SweepLoader(loader)
    first = ours.load_sweep_config(of, ["seed=1"])
    first.model.layers = {}
    same(loader.load_sweep_config(of, ["seed=2"]), ours.load_sweep_config(of, ["seed=2"]))


def test_the_list_of_defaults_is_hydras(loader):
    ours = swept.SweepLoader(loader)
    for typed in (["seed=1"], ["model=nested", "seed=2", "+model.args.more=4"], ["seed=3", "init=xavier"]):
        for _ in range(2):
            found = ours.compute_defaults_list(search_path.CONFIG_NAME, typed, RunMode.RUN)
            wanted = loader.compute_defaults_list(search_path.CONFIG_NAME, typed, RunMode.RUN)
            assert found.defaults == wanted.defaults
            lines = [[each.input_line for each in one.config_overrides] for one in (found, wanted)]
            assert lines[0] == lines[1]


def project(folder):
    folder.joinpath("conf", "model").mkdir(parents=True)
    folder.joinpath("conf", "model", "own.yaml").write_text("layers: [ReLU]\n")
    return folder / "conf" / "model"


def test_a_file_that_changes_between_jobs_is_read_again(tmp_path, monkeypatch):
    models = project(tmp_path)
    monkeypatch.chdir(tmp_path)
    search_path.register()
    with hydra.initialize_config_dir(str(CONF), **search_path.INITIALIZE):
        ours = swept.SweepLoader(GlobalHydra.instance().config_loader())
        of = master(ours.loader)
        typed = ["model=own", "seed=1"]
        assert ours.load_sweep_config(of, typed).model.layers == ["ReLU"]
        models.joinpath("own.yaml").write_text("layers: [Tanh, ReLU]\n")
        assert ours.load_sweep_config(of, typed).model.layers == ["Tanh", "ReLU"]
        assert ours.load_sweep_config(of, ["model=nested", "seed=1"]).model.layers != ["Tanh"]
        models.joinpath("nested.yaml").write_text("layers: [Tanh]\n")  # before the one of the package from now on
        assert ours.load_sweep_config(of, ["model=nested", "seed=1"]).model.layers == ["Tanh"]


def test_a_file_with_numbers_that_yaml_misreads_is_noticed_whenever_it_comes(tmp_path, monkeypatch):
    own = project(tmp_path) / "own.yaml"
    monkeypatch.chdir(tmp_path)
    assert not search_path.may_misread()
    own.write_text("args: {width: 010}\n")
    assert search_path.may_misread()
    own.write_text("args: {width: 10}\n")
    assert not search_path.may_misread()
    own.with_name("another.yaml").write_text("args: {width: 1:30}\n")
    assert search_path.may_misread()


def test_each_config_is_read_once_for_all_jobs(monkeypatch):
    read = []
    text = pathlib.Path.read_text
    monkeypatch.setattr(
        pathlib.Path, "read_text", lambda file, *given, **named: read.append(file) or text(file, *given, **named)
    )
    search_path._may_misread.cache_clear()
    search_path.may_misread()
    first = len(read)
    search_path.may_misread()
    assert first > 20
    assert len(read) == first


def test_a_loader_goes_to_another_process_without_what_it_knows(loader):
    ours = swept.SweepLoader(loader)
    ours.load_sweep_config(master(loader), ["seed=1"])
    assert len(pickle.dumps(ours)) < len(pickle.dumps(loader)) + 200


def test_only_so_many_compositions_are_kept(loader, monkeypatch):
    monkeypatch.setattr(swept, "_MOST", 3)
    monkeypatch.setattr(swept, "_known", {})
    of, ours = master(loader), swept.SweepLoader(loader)
    for init in INITS[:5]:
        ours.load_sweep_config(of, [f"init={init}", "seed=1"])
    assert len(swept._known) == 3

"""An encoder and every control under one protocol, on small synthetic volumes."""

import json

import pytest
from rich.console import Console

from embed.checkpoint import random_encoder
from embed.encoder import EncoderConfig, Stage
from embed.errors import ConfigError, MismatchError, NotFoundError
from embed.evaluation import controls, protocol_fib, protocol_luc
from embed.evaluation.evaluate import evaluate
from embed.evaluation.scoreboard import render
from tests.labelled import VNC_VOXEL_NM, write_fib, write_luc, write_vnc

CUBE = EncoderConfig(
    stages=(Stage(8, (5, 5, 5), (4, 4, 4)), Stage(16, (2, 2, 2))), read=(1,), embedding_dim=8
)
FLAT = EncoderConfig(
    voxel_size_nm=VNC_VOXEL_NM,
    stages=(Stage(8, (1, 5, 5), (1, 4, 4)), Stage(16, (3, 2, 2))),
    read=(1,),
    embedding_dim=8,
)
EVERYWHERE = {controls.RANDOM, controls.PCA, controls.MEAN, controls.LOGISTIC, controls.CHANCE}
OF_FIB = {
    controls.FOREST,
    protocol_fib.MASK_VOLUME,
    protocol_fib.MASK_SHAPE,
    protocol_fib.MASKED_MEAN,
    protocol_fib.MASKED_BANK,
    protocol_fib.SHAPE_AND_BANK,
}
OF_LUC = {protocol_luc.POOLED, protocol_luc.POOLED_FOREST}
WANTED = {
    "P-FIB": (CUBE, OF_FIB, {"auc_touching", "auc_apart", "auc"}),
    "P-VNC": (FLAT, {controls.FOREST}, {"f1@5", "f1@25", "f1@100", "f1@2000", "p@10"}),
    "P-LUC": (CUBE, OF_LUC, {"ap@5", "ap@10", "ap@50", "ap@200", "ap@all", "precision@50"}),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("data")
    write_fib(path)
    write_luc(path)
    write_vnc(path)
    return path


@pytest.mark.parametrize(
    "protocol", ["P-FIB", *(pytest.param(p, marks=pytest.mark.long) for p in ("P-VNC", "P-LUC"))]
)
def test_every_protocol_scores_the_encoder_beside_every_control(folder, protocol):
    config, own, metrics = WANTED[protocol]
    encoder = random_encoder(config)
    stages = []

    result = evaluate(encoder, protocol, folder, seeds=(0,), progress=stages.append)

    assert result.controls.keys() == EVERYWHERE | own
    assert metrics | {"stability"} <= result.metrics.keys()
    assert result.encoder == encoder.fingerprint
    assert json.loads(json.dumps(result.to_json()))["protocol"] == protocol
    assert {"encoder", controls.PCA} <= set(stages)
    console = Console(width=130)
    with console.capture() as capture:
        console.print(render(result))
    shown = capture.get()
    assert all(name.split()[0] in shown for name in result.controls)
    assert all(f"{value:.3f}" in shown for value in result.metrics.values())


@pytest.mark.long
def test_the_random_control_is_another_network_than_the_encoder(folder):
    encoder = random_encoder(CUBE, seed=123)

    result = evaluate(encoder, "P-FIB", folder, seeds=(0, 1))

    assert result.random_networks == 2
    assert result.controls[controls.RANDOM]["auc"] != result.metrics["auc"]
    assert result.sd_controls[controls.RANDOM]["auc"] > 0


def test_an_unknown_protocol_is_refused_with_those_there_are(folder):
    with pytest.raises(ConfigError, match="no protocol 'P-FIBS'; there are P-FIB, P-VNC, P-LUC"):
        evaluate(random_encoder(CUBE), "P-FIBS", folder)


def test_no_seeds_are_refused(folder):
    with pytest.raises(ConfigError, match="at least one seed"):
        evaluate(random_encoder(CUBE), "P-FIB", folder, seeds=())


def test_an_encoder_for_other_voxels_is_refused(folder):
    config = EncoderConfig((40.0, 4.0, 4.0), CUBE.stages, CUBE.read, CUBE.embedding_dim)

    with pytest.raises(MismatchError, match="10 x 10 x 10 nm"):
        evaluate(random_encoder(config), "P-LUC", folder)


def test_a_missing_folder_of_data_names_the_volume(tmp_path):
    with pytest.raises(NotFoundError, match=r"fib25_b\.zarr"):
        evaluate(random_encoder(CUBE), "P-FIB", tmp_path / "nowhere")


def test_a_forest_is_scored_where_something_is_fitted_and_nowhere_else(folder):
    task = protocol_fib.prepare(folder, CUBE.fov)

    scores = task.score(task.controls()[controls.FOREST], (0,))

    assert scores.keys() == {"probe_auc_touching", "probe_auc_apart", "probe_auc"}

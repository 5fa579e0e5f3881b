"""Keeps imports pointing down: a module may import only modules of a lower rank."""

import ast
from pathlib import Path

ROOT = Path(__file__).parents[1]

LAYERS = [
    {
        "embed.errors",
        "embed.evaluation.features",
        "embed.formats.units",
        "embed.noise",
        "embed.objective",
        "embed.penalty",
        "embed.reporting.chart",
        "embed.reporting.spectrum",
        "embed.reporting.starvation",
        "embed.samples",
        "embed.threads",
        "serve.logs",
        "serve.metrics",
        "serve.stopping",
        "serve.suppression",
    },
    {
        "embed.engines.engine",
        "embed.evaluation.fewshot",
        "embed.formats.arrays",
        "embed.geometry",
        "embed.quantiser",
        "embed.reporting.config",
        "embed.storage",
        "serve.address",
        "serve.caller",
        "serve.cli",
        "serve.indexing.factory",
        "serve.indexing.faiss_files",
        "serve.jobs",
        "serve.quota",
        "serve.umap_worker",
    },
    {
        "embed.artefacts",
        "embed.convolution",
        "embed.embeddings",
        "embed.engines.lanes",
        "embed.evaluation.filterbank",
        "embed.evaluation.places",
        "embed.evaluation.retrieval",
        "embed.evaluation.scoreboard",
        "embed.evaluation.vnc_places",
        "embed.filters",
        "embed.formats.source",
        "embed.ingestion.stack",
        "embed.ledger",
        "embed.pointfiles.annotation_format",
        "embed.pointfiles.keyed",
        "embed.points",
        "embed.probe",
        "embed.reporting.domains",
        "embed.reporting.events",
        "embed.reporting.journal",
        "embed.resume",
        "embed.sweep",
        "embed.symmetry",
        "embed.voids",
        "embed.zoom",
        "serve.access",
        "serve.arguments",
        "serve.console",
        "serve.credentials",
        "serve.guard",
        "serve.hits",
        "serve.indexing.advice",
        "serve.indexing.spacing",
        "serve.projection_table",
        "serve.queries",
        "serve.status",
        "serve.tokens",
        "serve.swap",
    },
    {
        "embed.augment",
        "embed.encoder",
        "embed.engines.ray",
        "embed.engines.workers",
        "embed.evaluation.bodies",
        "embed.evaluation.controls",
        "embed.evaluation.verification",
        "embed.formats.description",
        "embed.formats.missing",
        "embed.ingestion.hdf5",
        "embed.ingestion.tiff",
        "embed.pointfiles.annotations",
        "embed.pointfiles.skeletons",
        "embed.pointfiles.table",
        "embed.reporting.figures",
        "serve.answers",
        "serve.gaps",
        "serve.door",
        "serve.http_port",
        "serve.projection_plot",
    },
    {
        "embed.checkpoint",
        "embed.formats.levels",
        "embed.formats.n5",
        "embed.formats.ome",
        "embed.operations",
        "embed.pointfiles.columns",
        "embed.reporting.page",
        "embed.reporting.watch",
        "serve.calls",
        "serve.engine_flags",
        "serve.http_admission",
    },
    {
        "embed.backends.backend",
        "serve.embed_arguments",
        "embed.formats.metadata",
        "embed.ingestion.pyramid",
        "embed.pointfiles.comma_separated",
        "embed.pointfiles.parquet",
        "serve.admission",
    },
    {
        "embed.backends.openvino",
        "embed.backends.xla",
        "embed.ingestion.ingest",
        "embed.peak",
        "embed.pointfiles.read",
        "embed.volume",
    },
    {
        "embed.backends.choice",
        "embed.evaluation.protocol",
        "embed.info",
        "embed.normaliser",
        "embed.regions",
        "embed.segments",
        "embed.suitability",
        "serve.thumbnails",
        "serve.verb_ingest",
    },
    {
        "embed.dense",
        "embed.evaluation.protocol_fib",
        "embed.evaluation.protocol_luc",
        "embed.given_shard",
        "embed.pointfiles.segmented",
        "embed.provenance",
        "embed.reporting.slices",
        "embed.segment_pairs",
        "serve.verb_info",
    },
    {
        "embed.atlas",
        "embed.dense_shard",
        "embed.evaluation.candidate",
        "embed.sampling",
        "serve.embed_points",
    },
    {
        "embed.config",
        "embed.devices",
        "embed.inference",
        "serve.find_arguments",
        "embed.layout",
        "embed.reporting.places",
        "serve.fleet.slabs",
        "serve.labels",
        "serve.locations",
        "serve.maps",
        "serve.place_values",
        "serve.voids",
    },
    {
        "embed.audit",
        "serve.fleet.asking",
        "embed.engines.shards",
        "embed.estimate",
        "embed.evaluation.protocol_vnc",
        "embed.given_layout",
        "embed.grid_layout",
        "embed.learner",
        "embed.pretrained",
        "embed.reporting.labelled",
        "embed.reporting.sheet",
        "embed.training_volumes",
        "serve.embed_telling",
        "serve.probes",
        "serve.class_maps",
        "serve.cut_outs",
        "serve.place_segments",
        "serve.projection",
        "serve.indexing.training",
        "serve.indexing.truth",
    },
    {
        "embed.evaluation.evaluate",
        "embed.reporting.reporter",
        "embed.step",
        "serve.embed_layout",
        "serve.aims",
        "serve.embed_plan",
        "serve.place_rules",
        "serve.indexing.planning",
        "serve.indexing.sweep",
        "serve.indexing.workspace",
        "serve.verb_probe",
        "serve.verb_project",
    },
    {
        "embed.train",
        "serve.candidates",
        "serve.selection",
        "serve.indexing.filling",
        "serve.indexing.sweep_plot",
        "serve.manifest",
        "serve.verb_embed",
        "serve.verb_evaluate",
    },
    {"serve.fleet.slab_build", "serve.indexing.extension", "serve.versions"},
    {"serve.removal"},
    {"serve.fleet.open_slab", "serve.indexing.job"},
    {"serve.fleet.job", "serve.fleet.replica", "serve.indexing.build"},
    {"serve.fleet.build", "serve.index"},
    {
        "serve.fleet.fleet",
        "serve.pages",
        "serve.refined",
        "serve.scan",
        "serve.similarity_map",
        "serve.supplies",
        "serve.telling",
        "serve.index_telling",
        "serve.place_boxes",
        "serve.verb_train",
    },
    {"serve.codec", "serve.index_arguments", "serve.search"},
    {
        "serve.contact_sheet",
        "serve.verb_index",
        "serve.query_codec",
        "serve.remote",
        "serve.served",
        "serve.together",
    },
    {"serve.atlas_codec", "serve.catalogue", "serve.recheck", "serve.search_calls"},
    {"serve.client", "serve.gateway", "serve.reload", "serve.servicer"},
    {"serve.server", "serve.verb_find"},
    {"serve.serve_arguments"},
    {"serve.verb_serve"},
    {"serve.demo"},
]
RANK = {module: rank for rank, layer in enumerate(LAYERS) for module in layer}


def _modules() -> dict[str, Path]:
    files = [*(ROOT / "embed").rglob("*.py"), *(ROOT / "serve").rglob("*.py")]
    own = (f for f in files if f.stem != "__init__" and "pb" not in f.parts)
    return {".".join(f.relative_to(ROOT).with_suffix("").parts): f for f in own}


def _imports(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return found & RANK.keys()


def test_every_import_points_down():
    upward = [
        f"{module} imports {target}"
        for module, path in _modules().items()
        for target in _imports(path)
        if RANK[target] >= RANK[module]
    ]

    assert not upward


def test_every_module_has_a_layer():
    assert _modules().keys() == RANK.keys()


def test_embed_never_imports_serve():
    embed = {module: path for module, path in _modules().items() if module.startswith("embed.")}

    offenders = [
        f"{module} imports {target}"
        for module, path in embed.items()
        for target in _imports(path)
        if target.startswith("serve.")
    ]

    assert not offenders

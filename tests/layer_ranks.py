"""The layers of modules: each imports only what stands in a paragraph above its own."""

LAYERS = """
embed.errors embed.evaluation.features embed.formats.units embed.probing.linear embed.probing.stored
embed.reporting.chart embed.reporting.spectrum embed.reporting.starvation embed.samples
embed.threads embed.training.noise embed.training.objective serve.gate.logs serve.layers.chunks
serve.layers.shaders serve.mapping.components serve.metrics serve.searching.compiled
serve.searching.turns serve.stopping

embed.engines.engine embed.evaluation.fewshot embed.formats.arrays embed.geometry
embed.probing.calibration embed.probing.class_prior embed.probing.novelty embed.probing.scores
embed.quantiser embed.reporting.config embed.storage serve.address serve.cli
serve.clusters.umap_worker serve.gate.caller serve.gate.quota serve.indexing.factory
serve.indexing.faiss_files serve.indexing.faiss_search serve.jobs serve.searching.suppression
serve.wire.json_answers

embed.angles embed.convolution embed.embedding_array embed.engines.lanes embed.evaluation.filterbank
embed.evaluation.places embed.evaluation.retrieval embed.evaluation.scoreboard
embed.evaluation.vnc_places embed.filters embed.formats.source embed.ingestion.stack embed.ledger
embed.penalty embed.pointfiles.annotation_format embed.pointfiles.keyed embed.points
embed.reporting.domains embed.reporting.events embed.reporting.journal embed.segment_statistics
embed.sweep embed.training.artefacts embed.training.resume embed.training.symmetry
embed.training.zoom embed.voids serve.access serve.clusters.table serve.filters
serve.gate.credentials serve.gate.guard serve.gate.tokens serve.hits serve.indexing.advice
serve.indexing.spacing serve.labelling.classes serve.labelling.label serve.layers.precomputed
serve.probing.names serve.swap serve.verbs.arguments serve.verbs.console serve.wire.status

embed.embeddings embed.encoder embed.engines.ray embed.engines.workers embed.evaluation.bodies
embed.evaluation.controls embed.evaluation.verification embed.formats.description
embed.formats.missing embed.ingestion.hdf5 embed.ingestion.tiff embed.pointfiles.annotation_writer
embed.pointfiles.annotations embed.pointfiles.skeletons embed.pointfiles.table
embed.probing.learning_curve embed.reporting.figures embed.training.augment serve.clusters.names
serve.gate.body_limit serve.gate.door serve.http_port serve.labelling.places serve.labelling.rows
serve.labelling.schema serve.layers.layer serve.mapping.making serve.queries serve.searching.gaps
serve.viewer

embed.checkpoint embed.formats.levels embed.formats.n5 embed.formats.ome embed.operations
embed.pointfiles.columns embed.probe embed.reporting.page embed.reporting.watch serve.gate.calls
serve.gate.http_admission serve.labelling.annotation_layer serve.labelling.database
serve.labelling.history serve.labelling.sets serve.searching.examples serve.verbs.engine_flags

embed.backends.backend embed.backends.openvino_layers embed.formats.metadata embed.ingestion.pyramid
embed.pointfiles.comma_separated embed.pointfiles.parquet embed.probing.training
serve.clusters.suggestions serve.gate.admission serve.mapping.identity serve.verbs.embed_arguments
serve.wire.answers

embed.backends.openvino embed.backends.xla embed.ingestion.ingest embed.peak embed.pointfiles.read
embed.volume serve.layers.pyramid

embed.backends.choice embed.evaluation.protocol embed.info embed.normaliser embed.regions
embed.segments embed.suitability serve.thumbnails serve.verbs.ingest

embed.dense embed.evaluation.protocol_fib embed.evaluation.protocol_luc embed.given_shard
embed.pointfiles.segmented embed.provenance embed.reporting.slices embed.training.segment_pairs
serve.layers.volume_layer serve.verbs.info

embed.atlas embed.dense_shard embed.evaluation.candidate embed.training.sampling
serve.verbs.embed_points

embed.config embed.evaluation.ten_clicks embed.job embed.layout embed.reporting.places
embed.training.devices embed.training.hosts serve.fleet.slabs serve.labels serve.locations
serve.maps serve.probing.versions serve.searching.place_values serve.searching.voids serve.tiles
serve.verbs.find_arguments

embed.audit embed.evaluation.protocol_vnc embed.given_layout embed.grid_layout embed.inference
embed.pretrained embed.reporting.labelled embed.reporting.sheet embed.training.ahead
embed.training.learner embed.training.readout embed.training.volumes serve.clusters.montage
serve.clusters.projection serve.cut_outs serve.fleet.asking serve.indexing.training
serve.indexing.truth serve.labelling.comma_separated serve.labelling.store serve.layers.map_layer
serve.probes serve.probing.suggestions serve.searching.class_maps serve.searching.place_segments
serve.searching.typical

embed.engines.shards embed.estimate embed.evaluation.evaluate embed.reporting.reporter
embed.training.step serve.clusters.picture serve.clusters.placing serve.indexing.planning
serve.indexing.sweep serve.indexing.workspace serve.labelling.cave serve.labelling.importing
serve.layers.probe_layers serve.mapping.apply serve.mapping.grids serve.mapping.segments
serve.probing.atlas_probes serve.searching.aims serve.searching.place_labels
serve.verbs.embed_layout serve.verbs.embed_telling

embed.training.keeper serve.clusters.clusters serve.clusters.project serve.indexing.filling
serve.indexing.sweep_plot serve.labelling.formats serve.manifest serve.mapping.counts
serve.mapping.writers serve.searching.candidates serve.searching.place_rules serve.verbs.embed_plan
serve.verbs.evaluate

embed.train serve.clusters.cluster_map serve.clusters.export serve.fleet.slab_build
serve.indexing.extension serve.labelling.exporting serve.layers.cluster_layer serve.mapping.export
serve.searching.selection serve.summary serve.verbs.embed serve.versions

serve.removal serve.verbs.labels serve.verbs.probe_maps serve.verbs.project

serve.fleet.open_slab serve.indexing.job serve.verbs.probe

serve.fleet.job serve.fleet.replica serve.indexing.build

serve.fleet.build serve.index

serve.fleet.fleet serve.searching.pages serve.searching.refined serve.searching.scan
serve.searching.similarity_map serve.searching.supplies serve.searching.telling
serve.verbs.index_telling serve.verbs.place_boxes serve.verbs.train

serve.layers.similarity_layers serve.search serve.verbs.index_arguments serve.wire.codec

serve.layers.layers serve.probing.codec

serve.contact_sheet serve.labelling.codec serve.searching.remote serve.searching.together
serve.served serve.verbs.index serve.wire.query_codec

serve.catalogue serve.clusters.jobs serve.labelling.calls serve.recheck serve.search_calls
serve.wire.atlas_codec

serve.clusters.http serve.find_http serve.labelling.servicer serve.probing.calls serve.probing.http
serve.probing.servicer

serve.labelling.http serve.layers.http serve.mapping.http serve.point_values

serve.client serve.gateway serve.reload serve.servicer

serve.server serve.verbs.find

serve.verbs.serve_arguments

serve.verbs.serve

serve.verbs.demo
"""
RANK = {
    module: rank
    for rank, layer in enumerate(LAYERS.strip().split("\n\n"))
    for module in layer.split()
}
"""How high each module lies; 0 imports no other."""

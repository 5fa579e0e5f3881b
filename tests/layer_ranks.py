"""The layers of modules: each imports only what stands in a paragraph above its own."""

LAYERS = """
embed.errors embed.evaluation.features embed.formats.units embed.probing.linear embed.probing.stored
embed.reporting.chart embed.reporting.spectrum embed.reporting.starvation embed.samples
embed.threads embed.training.noise embed.training.objective serve.layers.chunks serve.layers.shaders
serve.logs serve.mapping.components serve.metrics serve.stopping serve.suppression serve.turns

embed.engines.engine embed.evaluation.fewshot embed.formats.arrays embed.geometry
embed.probing.calibration embed.probing.class_prior embed.probing.novelty embed.probing.scores
embed.quantiser embed.reporting.config embed.storage serve.address serve.caller serve.cli
serve.clusters.umap_worker serve.indexing.factory serve.indexing.faiss_files serve.jobs
serve.json_answers serve.quota

embed.convolution embed.embedding_array embed.engines.lanes embed.evaluation.filterbank
embed.evaluation.places embed.evaluation.retrieval embed.evaluation.scoreboard
embed.evaluation.vnc_places embed.filters embed.formats.source embed.ingestion.stack embed.ledger
embed.penalty embed.pointfiles.annotation_format embed.pointfiles.keyed embed.points
embed.reporting.domains embed.reporting.events embed.reporting.journal embed.sweep
embed.training.artefacts embed.training.resume embed.training.symmetry embed.training.zoom
embed.voids serve.access serve.arguments serve.clusters.table serve.console serve.credentials
serve.guard serve.hits serve.indexing.advice serve.indexing.spacing serve.labelling.classes
serve.labelling.label serve.layers.precomputed serve.probing.names serve.queries serve.status
serve.swap serve.tokens

embed.embeddings embed.encoder embed.engines.ray embed.engines.workers embed.evaluation.bodies
embed.evaluation.controls embed.evaluation.verification embed.formats.description
embed.formats.missing embed.ingestion.hdf5 embed.ingestion.tiff embed.pointfiles.annotation_writer
embed.pointfiles.annotations embed.pointfiles.skeletons embed.pointfiles.table
embed.probing.learning_curve embed.reporting.figures embed.training.augment serve.body_limit
serve.clusters.names serve.door serve.examples serve.gaps serve.http_port serve.labelling.places
serve.labelling.rows serve.labelling.schema serve.layers.layer serve.mapping.making serve.viewer

embed.checkpoint embed.formats.levels embed.formats.n5 embed.formats.ome embed.operations
embed.pointfiles.columns embed.probe embed.reporting.page embed.reporting.watch serve.calls
serve.engine_flags serve.http_admission serve.labelling.annotation_layer serve.labelling.database
serve.labelling.history serve.labelling.sets

embed.backends.backend embed.formats.metadata embed.ingestion.pyramid
embed.pointfiles.comma_separated embed.pointfiles.parquet embed.probing.training serve.admission
serve.answers serve.clusters.suggestions serve.embed_arguments serve.mapping.identity

embed.backends.openvino embed.backends.xla embed.ingestion.ingest embed.peak embed.pointfiles.read
embed.volume serve.layers.pyramid

embed.backends.choice embed.evaluation.protocol embed.info embed.normaliser embed.regions
embed.segments embed.suitability serve.thumbnails serve.verb_ingest

embed.dense embed.evaluation.protocol_fib embed.evaluation.protocol_luc embed.given_shard
embed.pointfiles.segmented embed.provenance embed.reporting.slices embed.training.segment_pairs
serve.layers.volume_layer serve.verb_info

embed.atlas embed.dense_shard embed.evaluation.candidate embed.training.sampling serve.embed_points

embed.config embed.evaluation.ten_clicks embed.job embed.layout embed.reporting.places
embed.training.devices embed.training.hosts serve.find_arguments serve.fleet.slabs serve.labels
serve.locations serve.maps serve.place_values serve.probing.versions serve.tiles serve.voids

embed.audit embed.evaluation.protocol_vnc embed.given_layout embed.grid_layout embed.inference
embed.pretrained embed.reporting.labelled embed.reporting.sheet embed.training.ahead
embed.training.learner embed.training.readout embed.training.volumes serve.class_maps
serve.clusters.montage serve.clusters.projection serve.cut_outs serve.fleet.asking
serve.indexing.training serve.indexing.truth serve.labelling.comma_separated serve.labelling.store
serve.layers.map_layer serve.place_segments serve.probes serve.probing.suggestions serve.typical

embed.engines.shards embed.estimate embed.evaluation.evaluate embed.reporting.reporter
embed.training.step serve.aims serve.clusters.picture serve.clusters.placing serve.embed_layout
serve.embed_telling serve.indexing.planning serve.indexing.sweep serve.indexing.workspace
serve.labelling.cave serve.labelling.importing serve.layers.probe_layers serve.mapping.apply
serve.mapping.grids serve.mapping.segments serve.place_rules serve.probing.atlas_probes

embed.training.keeper serve.candidates serve.clusters.clusters serve.clusters.project
serve.embed_plan serve.indexing.filling serve.indexing.sweep_plot serve.labelling.formats
serve.manifest serve.mapping.counts serve.mapping.writers serve.selection serve.verb_evaluate

embed.train serve.clusters.cluster_map serve.clusters.export serve.fleet.slab_build
serve.indexing.extension serve.labelling.exporting serve.layers.cluster_layer serve.mapping.export
serve.summary serve.verb_embed serve.versions

serve.removal serve.verb_labels serve.verb_probe_maps serve.verb_project

serve.fleet.open_slab serve.indexing.job serve.verb_probe

serve.fleet.job serve.fleet.replica serve.indexing.build

serve.fleet.build serve.index

serve.fleet.fleet serve.index_telling serve.pages serve.place_boxes serve.refined serve.scan
serve.similarity_map serve.supplies serve.telling serve.verb_train

serve.codec serve.index_arguments serve.layers.similarity_layers serve.search

serve.layers.layers serve.probing.codec

serve.contact_sheet serve.labelling.codec serve.query_codec serve.remote serve.served serve.together
serve.verb_index

serve.atlas_codec serve.catalogue serve.clusters.jobs serve.labelling.calls serve.recheck
serve.search_calls

serve.clusters.http serve.find_http serve.labelling.servicer serve.probing.calls serve.probing.http
serve.probing.servicer

serve.labelling.http serve.layers.http serve.mapping.http serve.point_values

serve.client serve.gateway serve.reload serve.servicer

serve.server serve.verb_find

serve.serve_arguments

serve.verb_serve

serve.demo
"""
RANK = {
    module: rank
    for rank, layer in enumerate(LAYERS.strip().split("\n\n"))
    for module in layer.split()
}
"""How high each module lies; 0 imports no other."""

"""The standard model of format version 1 of the image codec, in training.

Here is all that is trained and exported: networks, hyperprior, context, exact integer layers, graphs. Beside
it stand the entropy coder (`pipeline.codec.rans`), its tables (`pipeline.codec.entropy_tables`), training
(`pipeline.training.standard`), the graphs' files (`export.standard_graphs`) and an unfinished checkpoint
(checkpoints/compression-standard). Not there yet: an export command, an artifact, the container of version 1,
and any operation that uses them; what serves is format version 0 (`pipeline.models.compression`).
"""

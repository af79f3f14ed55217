"""Similarity of architectures: how similar are two networks as sequences of layers?

This room writes the layers that run in a network as a string of letters, aligns two strings with the Needleman-Wunsch
algorithm, and derives similarity matrices, clusters and a choice of representative networks.
Mantel tests show whether similar architectures also have similar representations.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from murine.lazy_exports import lazy_exports

if TYPE_CHECKING:
    from murine.architecture.alignment import Alignment as Alignment
    from murine.architecture.alignment import AlignmentScoring as AlignmentScoring
    from murine.architecture.alignment import align as align
    from murine.architecture.alignment import align_all as align_all
    from murine.architecture.alignment import alignment_scores as alignment_scores
    from murine.architecture.alignment import optimal_cells as optimal_cells
    from murine.architecture.alignment import score_matrix as score_matrix
    from murine.architecture.clustering import choose_representatives as choose_representatives
    from murine.architecture.clustering import cluster_networks as cluster_networks
    from murine.architecture.clustering import heat_map as heat_map
    from murine.architecture.forward_trace import Layer as Layer
    from murine.architecture.forward_trace import trace_layers as trace_layers
    from murine.architecture.layer_sequences import layer_sequence as layer_sequence
    from murine.architecture.mantel_test import MantelResult as MantelResult
    from murine.architecture.mantel_test import mantel as mantel
    from murine.architecture.named_sequences import NamedSequence as NamedSequence
    from murine.architecture.named_sequences import find_sequences as find_sequences
    from murine.architecture.named_sequences import published_heat_map as published_heat_map
    from murine.architecture.named_sequences import published_sequences as published_sequences
    from murine.architecture.named_sequences import sequences_as_published as sequences_as_published
    from murine.architecture.sequence_similarity import LengthEffect as LengthEffect
    from murine.architecture.sequence_similarity import length_effect as length_effect
    from murine.architecture.sequence_similarity import length_ratios as length_ratios
    from murine.architecture.sequence_similarity import shared_layers as shared_layers
    from murine.architecture.sequence_similarity import shared_motifs as shared_motifs
    from murine.architecture.sequence_similarity import similarities as similarities
    from murine.architecture.sequence_similarity import similarity_index as similarity_index
    from murine.architecture.vocabulary import Vocabulary as Vocabulary
    from murine.architecture.vocabulary import load_vocabulary as load_vocabulary
    from murine.architecture.vocabulary import vocabularies as vocabularies

__getattr__, __dir__, __all__ = lazy_exports(__name__)

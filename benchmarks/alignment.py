"""What aligning all pairs of the networks of ``suite:neurn44`` costs, with trace-back, against Biopython.

Claims, measured side by side in this run, CPU times on one thread, the least of several rounds:

1. All pairs aligned, each with one best alignment, take no longer than Biopython's `PairwiseAligner` for the same; and
   scores alone no longer than its scores alone.
2. Scores equal Biopython's, for all pairs and for 1,000 random ones, and every alignment has the score it says.

Needs Biopython (in the extra ``test``).

Run: python benchmarks/alignment.py
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Sequence

import numpy as np
from Bio.Align import PairwiseAligner
from threadpoolctl import threadpool_limits

from murine.architecture.alignment import Alignment, AlignmentScoring, align_all, alignment_scores
from murine.architecture.named_sequences import published_sequences

ROUNDS = 5
N_RANDOM = 1000


def cpu_time(work: Callable[[], object]) -> float:
    times = []
    for _ in range(ROUNDS):
        start = time.process_time()
        work()
        times.append(time.process_time() - start)
    return min(times)


def biopython() -> PairwiseAligner:
    aligner = PairwiseAligner(mode="global")
    aligner.match_score, aligner.mismatch_score, aligner.gap_score = AlignmentScoring().values
    return aligner


def counted(alignment: Alignment) -> int:
    scoring = AlignmentScoring()
    matches = alignment.n_matches * scoring.match + alignment.n_mismatches * scoring.mismatch
    return matches + alignment.n_gaps * scoring.gap


def check(pairs: Sequence[tuple[str, str]], found: Sequence[Alignment]) -> int:
    """How many pairs are wrong: another score than Biopython's, or an alignment that does not have it."""
    aligner = biopython()
    wrong = 0
    for (a, b), alignment in zip(pairs, found, strict=True):
        whole = (alignment.first.replace("-", ""), alignment.second.replace("-", "")) == (a, b)
        wrong += not (whole and alignment.score == aligner.score(a, b) == counted(alignment))
    return wrong


def main() -> None:
    sequences = [own.letters for own in published_sequences("neurn44").values() if own.letters]
    pairs = list(itertools.combinations(sequences, 2))
    lengths = [len(sequence) for sequence in sequences]
    print(f"{len(sequences)} networks of {min(lengths)} to {max(lengths)} layers, {len(pairs)} pairs, one thread")
    with threadpool_limits(1):
        start = time.process_time()
        found = align_all(sequences)
        first = time.process_time() - start
        rng = np.random.default_rng(0)
        random = ["".join(rng.choice(list("CBRMLAD"), n)) for n in rng.integers(1, 300, 2 * N_RANDOM)]
        ours = [align_all(pair)[0] for pair in zip(random[::2], random[1::2], strict=True)]
        print(f"first call, with what has to be compiled: {first:.2f} s")
        print(f"wrong: {check(pairs, found)} of {len(pairs)} pairs of networks, ", end="")
        print(f"{check(list(zip(random[::2], random[1::2], strict=True)), ours)} of {N_RANDOM} random pairs")
        aligner = biopython()
        traced = cpu_time(lambda: align_all(sequences))
        theirs_traced = cpu_time(lambda: [aligner.align(a, b)[0] for a, b in pairs])
        scored = cpu_time(lambda: alignment_scores(sequences))
        theirs_scored = cpu_time(lambda: [aligner.score(a, b) for a, b in pairs])
    print(f"scores: murine {1e3 * scored:.0f} ms, Biopython {1e3 * theirs_scored:.0f} ms")
    print(f"with an alignment each: murine {1e3 * traced:.0f} ms, Biopython {1e3 * theirs_traced:.0f} ms")
    print(f"scores, Biopython / murine: {theirs_scored / scored:.1f}")
    print(f"alignments, Biopython / murine: {theirs_traced / traced:.1f}")


if __name__ == "__main__":
    main()

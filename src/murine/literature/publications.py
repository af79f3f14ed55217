"""The publications that results rest on: methods and data."""

# ruff: noqa: RUF001 (dashes are meant)

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Citation:
    """A publication.

    Attributes
    ----------
    key
        How texts cite it: ``"Kornblith et al. 2019"``.
    text
        Authors, year, title and journal.
    link
        The address where it is found, best a DOI.

    Examples
    --------
    >>> KORNBLITH.key
    'Kornblith et al. 2019'
    """

    key: str
    text: str
    link: str


CONWELL = Citation(
    "Conwell et al. 2021",
    "Conwell C, Mayo D, Barbu A, Buice MA, Alvarez G, Katz B (2021). Neural regression, representational "
    "similarity, model zoology & neural taskonomy at scale in rodent visual cortex. Advances in Neural "
    "Information Processing Systems 34, 5590–5607.",
    "https://proceedings.neurips.cc/paper/2021/hash/2c29d89cc56cdb191c60db2f0bae796b-Abstract.html",
)
QAZI = Citation(
    "Qazi et al. 2025",
    "Qazi I, Jalil M, Iqbal A (2025). Mice to machines: neural representations from visual cortex for domain "
    "generalization. arXiv 2505.06886.",
    "https://arxiv.org/abs/2505.06886",
)
JALIL = Citation(
    "Jalil et al. 2025",
    "Jalil M, Qazi I, Iqbal A (2025). NeuRN: neuro-inspired domain generalization for image classification. arXiv "
    "2505.06881.",
    "https://arxiv.org/abs/2505.06881",
)
KRIEGESKORTE = Citation(
    "Kriegeskorte et al. 2008",
    "Kriegeskorte N, Mur M, Bandettini P (2008). Representational similarity analysis – connecting the "
    "branches of systems neuroscience. Frontiers in Systems Neuroscience 2, 4.",
    "https://doi.org/10.3389/neuro.06.004.2008",
)
NILI = Citation(
    "Nili et al. 2014",
    "Nili H, Wingfield C, Walther A, Su L, Marslen-Wilson W, Kriegeskorte N (2014). A toolbox for "
    "representational similarity analysis. PLOS Computational Biology 10, e1003553.",
    "https://doi.org/10.1371/journal.pcbi.1003553",
)
WALTHER = Citation(
    "Walther et al. 2016",
    "Walther A, Nili H, Ejaz N, Alink A, Kriegeskorte N, Diedrichsen J (2016). Reliability of dissimilarity "
    "measures for multi-voxel pattern analysis. NeuroImage 137, 188–200.",
    "https://doi.org/10.1016/j.neuroimage.2015.12.012",
)
KORNBLITH = Citation(
    "Kornblith et al. 2019",
    "Kornblith S, Norouzi M, Lee H, Hinton G (2019). Similarity of neural network representations revisited. "
    "Proceedings of Machine Learning Research 97, 3519–3529.",
    "https://proceedings.mlr.press/v97/kornblith19a.html",
)
SONG = Citation(
    "Song et al. 2012",
    "Song L, Smola A, Gretton A, Bedo J, Borgwardt K (2012). Feature selection via dependence maximization. "
    "Journal of Machine Learning Research 13, 1393–1434.",
    "https://jmlr.org/papers/v13/song12a.html",
)
WILLIAMS = Citation(
    "Williams et al. 2021",
    "Williams AH, Kunz E, Kornblith S, Linderman SW (2021). Generalized shape metrics on neural "
    "representations. Advances in Neural Information Processing Systems 34, 4738–4750.",
    "https://arxiv.org/abs/2110.14739",
)
EFRON = Citation(
    "Efron & Tibshirani 1993",
    "Efron B, Tibshirani RJ (1993). An introduction to the bootstrap. Chapman & Hall.",
    "https://doi.org/10.1201/9780429246593",
)
SCHUETT = Citation(
    "Schütt et al. 2023",
    "Schütt HH, Kipnis AD, Diedrichsen J, Kriegeskorte N (2023). Statistical inference on representational "
    "geometries. eLife 12, e82566.",
    "https://doi.org/10.7554/eLife.82566",
)
NAYEBI = Citation(
    "Nayebi et al. 2023",
    "Nayebi A, Kong NCL, Zhuang C, Gardner JL, Norcia AM, Yamins DLK (2023). Mouse visual cortex as a limited "
    "resource system that self-learns an ecologically-general representation. PLOS Computational Biology 19, e1011506.",
    "https://doi.org/10.1371/journal.pcbi.1011506",
)
OBSERVATORY = Citation(
    "Allen Brain Observatory",
    "Allen Institute for Brain Science. Allen Brain Observatory, Visual Coding.",
    "https://observatory.brain-map.org/visualcoding",
)
DE_VRIES = Citation(
    "de Vries et al. 2020",
    "de Vries SEJ, Lecoq JA, Buice MA, et al. (2020). A large-scale standardized physiological survey "
    "reveals functional organization of the mouse visual cortex. Nature Neuroscience 23, 138–151.",
    "https://doi.org/10.1038/s41593-019-0550-9",
)
SIEGLE = Citation(
    "Siegle et al. 2021",
    "Siegle JH, Jia X, Durand S, et al. (2021). Survey of spiking in the mouse visual system reveals "
    "functional hierarchy. Nature 592, 86–92.",
    "https://doi.org/10.1038/s41586-020-03171-x",
)
KRIEGESKORTE_92 = Citation(
    "Kriegeskorte et al. 2008b",
    "Kriegeskorte N, Mur M, Ruff DA, et al. (2008). Matching categorical object representations in inferior temporal "
    "cortex of man and monkey. Neuron 60, 1126–1141.",
    "https://doi.org/10.1016/j.neuron.2008.10.043",
)
MUR = Citation(
    "Mur et al. 2013",
    "Mur M, Meys M, Bodurka J, Goebel R, Bandettini PA, Kriegeskorte N (2013). Human object-similarity judgments "
    "reflect and transcend the primate-IT object representation. Frontiers in Psychology 4, 128.",
    "https://doi.org/10.3389/fpsyg.2013.00128",
)

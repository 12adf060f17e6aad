"""What a fit of clusters says of itself."""

from spark_jobs.clustering.config import ClusterConfig
from spark_jobs.clustering.plan import paper_difference


def test_the_papers_preset_says_on_how_much_less_it_was_fitted():
    (note,) = paper_difference(ClusterConfig(preset="paper"), points=1_000_000, k=4000)
    assert "LAION-400M, 10,000 to 200,000 vectors per centroid" in note
    assert "saw 1,000,000, 250 per centroid" in note
    assert paper_difference(ClusterConfig(), points=1_000_000, k=4000) == []

"""Clusters of image vectors: the sample that is fitted on, the fit, the stored model."""

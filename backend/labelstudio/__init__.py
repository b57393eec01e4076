"""Label Studio's words and ours: labeling configurations, regions, media, its API."""

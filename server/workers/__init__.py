"""`serve --workers n`: n shards as processes of this host behind one address."""

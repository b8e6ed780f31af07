"""Reads a catalogue from a folder of YAML, reporting every mistake with its exact place."""

from loaders.catalogue.load import load_catalogue
from loaders.catalogue.problems import CatalogueErrors, Place, Problem
from loaders.catalogue.schema import catalogue_schema

__all__ = ["CatalogueErrors", "Place", "Problem", "catalogue_schema", "load_catalogue"]

"""The fixed protocols, their controls and their scores."""

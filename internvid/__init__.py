"""The library: plain functions on video, pictures and text. It knows neither Dagster nor the lake."""

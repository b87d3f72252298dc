"""The explorer: pages of this lake in a browser, to search, watch and judge its clips. `internvid explore` serves it.

`app` puts it together, `routes/` has a module for each section, `page` is what a route gets. What is asked of the lake
is in `resources/explorer/`.
"""

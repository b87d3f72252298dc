"""Estimates what a collection to come takes: from this lake's ledger of costs, its tables, and a file of prices.

`collection` says what is to come, `rates` what a unit costs, `workers` how much of the work is done at the same time,
`storage` how large it gets, `prices` what that costs in money. `estimate` puts them together.
"""

"""The beam store in files: append-only segments of fixed-size records, sealed into columns.

A store is a folder: `store.json` names the format, `lock` is held by the one process that writes, and each run has a
folder named by its number. There `run.json` says whose it is, `000000.rec` and so on are segments, `details`, `names`
and `joins` grow beside them, and `commits` says how much of all of them counts. `sealed-000000-000007` replaces the
segments of these numbers.
"""

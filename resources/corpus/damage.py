"""What of a table can no longer be read: manifests, data files and indexes that are missing or cut short; and, where
every byte is read, rows whose content is not what was written.

Names and sizes of files are compared with what the manifests say, and the end of each data file is read: of a file that
a crash of the machine left behind, the size may be right and the content missing. That the newest manifests are gone,
what names their versions elsewhere tells: Lance's own hint beside them, tags of snapshots, and the versions from which
batches were counted. What is then done about it is `resources.corpus.repair`.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

import pyarrow as pa

from resources.incremental.provenance import row_digests
from resources.lake.lookup import rows_with_keys
from resources.lake.paths import StoragePath
from resources.lake.schema import BATCH_STATES, MADE_BY, Table
from resources.lake.writes import sql_text

if TYPE_CHECKING:
    import lance
    from lance.file import LanceFileReader
    from lance.lance.indices import IndexDescription

    from resources.lake.store import Lake

FILES_AT_A_TIME = 8
ROWS_PER_READ = 256  # frames have their JPEG
MAX_BATCHES_NAMED = 5
# What Lance raises for bytes that it cannot read; Arrow's errors are ValueErrors.
UNREADABLE = (OSError, ValueError, RuntimeError)
HINT = "_versions/latest_version_hint.json"  # Lance writes it after a commit, on a disk; it may lag behind
NEWEST_OF_NAMES = 2**64 - 1  # a manifest is named after this less its version, so that the newest is listed first


@dataclass
class Damage:
    """What cannot be read of a table.

    newest: its newest version that can be opened; None if there is none. lost_versions: newer ones. older_versions:
    versions before it that lack a file. fragments: number -> why its rows are lost. addresses: of further rows, whose
    content is not what was written. indexes: name -> why. tags: of snapshots that lack rows of this table.
    rows, batches: number of lost rows, in all and by partition as far as an index tells. keys: of these rows, likewise.
    uncommitted: rows of files that no version names, written since `newest`: what lost versions added, at most.
    """

    table: str
    newest: int | None = None
    lost_versions: dict[int, str] = field(default_factory=dict)
    older_versions: dict[int, str] = field(default_factory=dict)
    fragments: dict[int, str] = field(default_factory=dict)
    addresses: list[int] = field(default_factory=list)
    indexes: dict[str, str] = field(default_factory=dict)
    tags: list[str] = field(default_factory=list)
    rows: int = 0
    batches: dict[str, int] = field(default_factory=dict)
    keys: list[str] = field(default_factory=list)
    uncommitted: int = 0

    def __bool__(self) -> bool:
        """Whether there is any."""
        return bool(
            self.lost_versions or self.older_versions or self.fragments or self.addresses or self.indexes or self.tags
        )

    @property
    def loses_rows(self) -> bool:
        return bool(self.lost_versions or self.fragments or self.addresses)

    def lines(self) -> Iterator[str]:
        """Yields what is damaged and lost, a line each."""
        for version, why in self.lost_versions.items():
            if self.newest is None:
                yield f"{self.table}: version {version} cannot be opened ({why}), nor an older one: all rows are lost"
                break
            in_batches = self._in_batches() if not self.fragments else ""
            yield (
                f"{self.table}: version {version} cannot be opened ({why}), version {self.newest} can; what was "
                f"written since is lost, at most {self.uncommitted:,} rows{in_batches}"
            )
        if self.fragments or self.addresses:
            whys = list(dict.fromkeys(self.fragments.values()))
            if self.addresses:
                whys.append(f"{len(self.addresses):,} rows are not as they were written")
            more = f" and {len(whys) - 1:,} more" if len(whys) > 1 else ""
            yield f"{self.table}: {self.rows:,} rows are lost{self._in_batches()}: {whys[0]}{more}"
        for name, why in self.indexes.items():
            yield f"{self.table}: the index {name} is damaged ({why}); no row is lost"
        if self.tags:
            yield f"{self.table}: rows of {len(self.tags):,} snapshots are lost: {_first(self.tags)}"
        if self.older_versions and not self.loses_rows:  # else they lack the same files
            version, why = next(iter(self.older_versions.items()))
            yield (
                f"{self.table}: {len(self.older_versions):,} older versions cannot be read, such as {version} ({why}); "
                "no row of today is lost"
            )

    def _in_batches(self) -> str:
        if not self.batches:
            return ""
        shown = sorted(self.batches.items())[:MAX_BATCHES_NAMED]
        more = f" and {len(self.batches) - len(shown):,} more" if len(self.batches) > len(shown) else ""
        return f", in {', '.join(f'{batch} ({rows:,})' for batch, rows in shown)}{more}"


def counted_versions(lake: Lake) -> dict[str, int]:
    """Returns the newest version of each table from which batches were counted. Read it before the tables."""
    versions: dict[str, int] = {}
    try:
        marks = lake.dataset(BATCH_STATES.name).scanner(columns=["table_versions"]).to_table()["table_versions"]
    except UNREADABLE:
        return {}
    for mark in marks.drop_null().to_pylist():
        for name, version in json.loads(mark).items():
            versions[name] = max(version, versions.get(name, 0))
    return versions


def damage(lake: Lake, table: Table, *, deep: bool = False, known_version: int = 0) -> Damage:
    """Returns what is damaged of the table. Where it cannot be opened at all, what else is damaged is not known yet.

    deep: reads every byte, computes the digest of every row, and asks the index for every key. known_version: one that
    the table had, as something outside of it says.
    """
    root = StoragePath(lake.uri(table.name), lake.file_options)
    known_version = max(known_version, _hinted_version(root))  # before the list of files: others may write
    sizes = {file.path.removeprefix(f"{root.path}/"): size for file, size in root.files(with_subfolders=True)}
    result = Damage(table.name)
    versions = _versions(sizes)
    if not versions and (known_version or any(path.startswith("data/") for path in sizes)):
        result.lost_versions[max(known_version, 1)] = "all of its manifests are missing"
        result.tags += _names_of_tags(sizes)
    if not versions:
        return result  # it is created where the lake is opened
    if known_version > versions[0] and (why := _why_gone(lake, table, known_version)):
        result.lost_versions[known_version] = why
    for version in versions:
        try:
            dataset = lake.dataset(table.name, version)
            _require_columns(dataset, table)
        except UNREADABLE as error:
            result.lost_versions[version] = reason(error)
        else:
            result.newest = version
            break
    else:
        result.tags += _names_of_tags(sizes)
        return result
    files = _Files(lake, table, root, sizes)
    gone = _tags_of_gone_versions(files, dataset)
    result.tags += gone
    if newer := {version for version in gone.values() if version > max(dataset.version, *result.lost_versions, 0)}:
        result.lost_versions[max(newer)] = f"{manifest(max(newer))} is missing"
    if result.lost_versions:
        _count_uncommitted(files, dataset, result)
        return result
    for path, lacking in _missing(files, dataset, result).items():
        for version in lacking - {dataset.version}:
            result.older_versions[version] = f"{path} is missing"
    _read_footers(files, dataset, result)
    if deep:
        _read_rows(dataset, table, result)
    _check_indexes(files, dataset, result, deep=deep)
    _check_tags(files, dataset, result)
    if result.fragments or result.addresses:
        _count_lost(files, dataset, result)
    return result


def _hinted_version(root: StoragePath) -> int:
    hint = root / HINT
    try:
        return int(json.loads(hint.read_text())["version"]) if hint.exists() else 0
    except (ValueError, KeyError, TypeError):
        return 0  # Lance reads it as advice, too


def _why_gone(lake: Lake, table: Table, version: int) -> str | None:
    """Returns why the version, which somebody names, is not there; None where it is, since it was written just now."""
    try:
        lake.dataset(table.name, version)
    except UNREADABLE:
        return f"{manifest(version)} is missing"
    return None


def _names_of_tags(names: Iterable[str]) -> list[str]:
    return [PurePosixPath(name).stem for name in names if name.startswith("_refs/tags/")]


def _tags_of_gone_versions(files: _Files, dataset: lance.LanceDataset) -> dict[str, int]:
    present = set(_versions(files.sizes))
    return {
        name: tag["version"]
        for name, tag in dataset.tags.list().items()
        if tag["version"] not in present and _why_gone(files.lake, files.table, tag["version"])
    }


def _require_columns(dataset: lance.LanceDataset, table: Table) -> None:
    """Raises ValueError where a name is damaged: an older program's table lacks columns, a newer one's has others."""
    names = set(dataset.schema.names)
    if set(table.column_names) - names and (unknown := sorted(names - set(table.column_names))):
        raise ValueError(f"it has a column {unknown[0]!r}, which the table has not")


@dataclass(frozen=True)
class _Files:
    """The files of a table, by name, with their sizes."""

    lake: Lake
    table: Table
    root: StoragePath
    sizes: dict[str, int]

    def why_unreadable(self, path: str, size: int | None = None) -> str | None:
        """Returns why a file in Lance's format cannot be read; None where it can, as far as its end tells."""
        if path not in self.sizes:
            return f"{path} is missing"
        if size and self.sizes[path] != size:
            return f"{path} has {self.sizes[path]:,} bytes, not {size:,}"
        try:
            self.reader(path).metadata()
        except UNREADABLE as error:
            return f"{path}: {reason(error)}"
        return None

    def why_lost(self, fragment: lance.LanceFragment) -> str | None:
        """Returns why the fragment's rows cannot be read; None where they can, as far as the ends of its files tell."""
        deletions = fragment.deletion_file()
        if deletions is not None and not self.sizes.get(deletions):
            return f"{deletions} is missing"
        reasons = (self.why_unreadable(f"data/{file.path}", file.file_size_bytes) for file in fragment.data_files())
        return next(filter(None, reasons), None)

    def reader(self, path: str, columns: list[str] | None = None) -> LanceFileReader:
        from lance.file import LanceFileReader

        return LanceFileReader(str(self.root / path), storage_options=self.lake.lance_options or None, columns=columns)


def _versions(names: Iterable[str]) -> list[int]:
    """Returns the versions whose manifests are there, newest first."""
    numbers = [
        int(path.stem)
        for path in map(PurePosixPath, names)
        if path.parts[0] == "_versions" and path.suffix == ".manifest" and path.stem.isdecimal()
    ]
    return sorted(NEWEST_OF_NAMES - number if number > NEWEST_OF_NAMES // 2 else number for number in numbers)[::-1]


def manifest(version: int) -> str:
    """The name of a version's manifest."""
    return f"_versions/{NEWEST_OF_NAMES - version:020}.manifest"


def reason(error: BaseException) -> str:
    """What Lance says, without where in its source it says so."""
    text = str(error).splitlines()[0].removeprefix("External error: ")
    return text.partition(", /")[0][:200] or type(error).__name__


def _missing(files: _Files, dataset: lance.LanceDataset, result: Damage) -> dict[str, set[int]]:
    """Returns the files that are named and not there, with the versions that name them. Notes cut manifests."""
    import pyarrow.compute as pc

    present = pa.array(files.sizes)
    missing: dict[str, set[int]] = {}
    try:
        batches = list(_not_present(dataset, present))
    except UNREADABLE:
        for version in _versions(files.sizes):
            try:
                files.lake.dataset(files.table.name, version).get_fragments()
            except UNREADABLE as error:
                result.older_versions[version] = reason(error)
        return {}
    for rows in batches:
        rows = rows.filter(pc.not_equal(rows["type"].cast(pa.string()), "transaction file"))  # nobody reads old ones
        for path, version in zip(rows["path"].to_pylist(), rows["version"].to_pylist(), strict=True):
            missing.setdefault(path, set()).add(version)
    return missing


def _not_present(dataset: lance.LanceDataset, present: pa.Array) -> Iterator[pa.Table]:
    import pyarrow.compute as pc

    for batch in dataset.tracked_files():
        rows = pa.Table.from_batches([batch])
        yield rows.filter(pc.invert(pc.is_in(rows["path"], present)))


def _read_footers(files: _Files, dataset: lance.LanceDataset, result: Damage) -> None:
    """Notes fragments of which a file is missing, of another size, or without its end."""
    fragments = dataset.get_fragments()
    with ThreadPoolExecutor(FILES_AT_A_TIME) as threads:
        for fragment, why in zip(fragments, threads.map(files.why_lost, fragments), strict=True):
            if why is not None:
                result.fragments[fragment.fragment_id] = why


def _read_rows(dataset: lance.LanceDataset, table: Table, result: Damage) -> None:
    """Reads every row, and notes those whose digest is another, and fragments that cannot be read to their end."""
    is_of_stage = {column.name for column in MADE_BY} <= set(table.column_names)
    for fragment in dataset.get_fragments():
        if fragment.fragment_id in result.fragments:
            continue
        addresses: list[int] = []
        try:
            for batch in dataset.scanner(
                fragments=[fragment], with_row_address=True, batch_size=ROWS_PER_READ
            ).to_batches():
                if is_of_stage:
                    addresses += _altered(batch, table)
        except UNREADABLE as error:
            result.fragments[fragment.fragment_id] = reason(error)
        except BaseException as error:
            if type(error).__name__ != "PanicException":  # of a decoder of Lance
                raise
            result.fragments[fragment.fragment_id] = reason(error)
        else:
            result.addresses += addresses


def _altered(batch: pa.RecordBatch, table: Table) -> list[int]:
    """Returns the addresses of the rows whose content does not have their digest."""
    content = batch.select([name for name in table.content.names if name in batch.schema.names])
    # A column that the table got later is null, and was not there when the digest was computed.
    older = content.select([name for name in content.schema.names if content.column(name).null_count < len(content)])
    stored, addresses = batch.column("digest").to_pylist(), batch.column("_rowaddr").to_pylist()
    return [
        address
        for address, digest, of_all, of_older in zip(
            addresses, stored, row_digests(content), row_digests(older), strict=True
        )
        if digest is not None and digest not in (of_all, of_older)
    ]


def _check_indexes(files: _Files, dataset: lance.LanceDataset, result: Damage, *, deep: bool) -> None:
    """Notes indexes of which a file is missing, of another size, or without its end; or that do not find every row."""
    for index in dataset.describe_indices():
        why = _why_damaged(files, index, deep=deep)
        if why is None and deep and not result.fragments and index.index_type in ("BTree", "Bitmap"):
            why = _why_incomplete(dataset, files.table, index)
        if why is not None:
            result.indexes[index.name] = why


def _why_damaged(files: _Files, index: IndexDescription, *, deep: bool) -> str | None:
    for segment in index.segments:
        folder = f"_indices/{segment.uuid}/"
        paths = [path for path in files.sizes if path.startswith(folder)]
        if not paths:
            return f"{folder} is missing"
        size = sum(files.sizes[path] for path in paths)
        if segment.size_bytes and size != segment.size_bytes:
            return f"{folder} has {size:,} bytes, not {segment.size_bytes:,}"
        for path in paths:
            if path.endswith(".lance") and (why := files.why_unreadable(path)):
                return why
            if path.endswith(".lance") and deep:
                try:
                    for _ in files.reader(path).read_all().to_batches():
                        pass
                except UNREADABLE as error:
                    return f"{path}: {reason(error)}"
    return None


def _why_incomplete(dataset: lance.LanceDataset, table: Table, index: IndexDescription) -> str | None:
    """Asks the index of the key for every key, or that of the partition for the rows of each."""
    import pyarrow.compute as pc

    (column,) = index.field_names
    try:
        if column == table.key:
            for batch in dataset.scanner(columns=[column], batch_size=8192).to_batches():
                keys = batch.column(column)
                if rows_with_keys(dataset, table, keys).num_rows < len(keys.unique()):
                    return "it does not find every row"
        elif column == table.partition:
            counts: Counter[str | None] = Counter()
            for batch in dataset.scanner(columns=[column]).to_batches():
                counts.update(batch.column(column).to_pylist())
            for value, rows in counts.items():
                if value is not None and dataset.count_rows(filter=pc.field(column) == value) != rows:
                    return "it does not find every row"
    except UNREADABLE as error:
        return reason(error)
    return None


def _check_tags(files: _Files, dataset: lance.LanceDataset, result: Damage) -> None:
    """Notes the tags of versions of which a file is lost, or a fragment that the newest version has, too."""
    checked = {identity(fragment): fragment.fragment_id in result.fragments for fragment in dataset.get_fragments()}
    for name, tag in dataset.tags.list().items():
        if name in result.tags:
            continue
        if not (is_lost := tag["version"] in result.older_versions):
            for fragment in dataset.checkout_version(tag["version"]).get_fragments():
                files_of_it = identity(fragment)
                if files_of_it not in checked:
                    checked[files_of_it] = files.why_lost(fragment) is not None
                is_lost = is_lost or checked[files_of_it]
        if is_lost:
            result.tags.append(name)


def identity(fragment: lance.LanceFragment) -> tuple[str | None, ...]:
    return (fragment.deletion_file(), *(file.path for file in fragment.data_files()))


def _count_lost(files: _Files, dataset: lance.LanceDataset, result: Damage) -> None:
    """Counts the lost rows, by partition as far as an index tells, and names their keys, likewise."""
    by_id = {fragment.fragment_id: fragment for fragment in dataset.get_fragments()}
    result.rows = sum(by_id[number].count_rows() for number in result.fragments) + len(result.addresses)
    lost = set(result.addresses)
    for index in dataset.describe_indices():
        if index.name in result.indexes:
            continue
        (column,) = index.field_names
        try:
            if column == files.table.key:
                live = set(_addresses(dataset, result.fragments, f"{column} >= ''")) | lost
                result.keys = [key for key, address in _entries(files, index) if address in live]
            elif column == files.table.partition:
                for value in _values(files, index):
                    if addresses := _addresses(dataset, result.fragments, f"{column} = {sql_text(value)}"):
                        result.batches[value] = len(addresses)
        except UNREADABLE:
            continue  # the number of rows is known without it


def _addresses(dataset: lance.LanceDataset, fragments: Iterable[int], condition: str) -> list[int]:
    """Returns the addresses of the rows of these fragments that an index finds, without reading any row."""
    import pyarrow.compute as pc

    rows = dataset.scanner(columns=[], filter=condition, with_row_address=True).to_table()["_rowaddr"]
    chosen = pc.is_in(pc.shift_right(rows, pa.scalar(32, pa.uint64())), pa.array(list(fragments), pa.uint64()))
    return rows.filter(chosen).to_pylist()


def _entries(files: _Files, index: IndexDescription) -> Iterator[tuple[str, int]]:
    """Yields key and address of the rows that the index of the key has."""
    for segment in index.segments:
        for batch in files.reader(f"_indices/{segment.uuid}/page_data.lance").read_all().to_batches():
            yield from zip(batch.column("values").to_pylist(), batch.column("ids").to_pylist(), strict=True)


def _values(files: _Files, index: IndexDescription) -> list[str]:
    """Returns the values that the bitmap index has."""
    values: set[str] = set()
    for segment in index.segments:
        rows = files.reader(f"_indices/{segment.uuid}/bitmap_page_lookup.lance").read_all().to_table()
        values.update(value for value in rows["keys"].to_pylist() if value is not None)
    return sorted(values)


def _count_uncommitted(files: _Files, dataset: lance.LanceDataset, result: Damage) -> None:
    """Counts the rows of data files that no readable version names, are newer than these, and hold what these do not.

    Files of compaction hold nothing else.
    """
    named = {f"data/{file.path}" for fragment in dataset.get_fragments() for file in fragment.data_files()}
    since = (files.root / manifest(dataset.version)).modified()
    for path in files.sizes:
        if not path.startswith("data/") or path in named:
            continue
        written = (files.root / path).modified()
        if since is None or written is None or written >= since:
            try:
                _count_new(files, path, dataset, result)
            except (*UNREADABLE, KeyError):
                continue  # a file that its writer did not finish


def _count_new(files: _Files, path: str, dataset: lance.LanceDataset, result: Damage) -> None:
    table = files.table
    identifying = [name for name in (table.key, "provenance") if name in table.column_names]
    columns = list(dict.fromkeys([*identifying, *([table.partition] if table.partition else [])]))
    for batch in files.reader(path, columns).read_all().to_batches():
        stored = rows_with_keys(dataset, table, batch.column(table.key), identifying).select(identifying).to_pylist()
        known = {tuple(row.values()) for row in stored}
        for row in batch.select(columns).to_pylist():
            if tuple(row[name] for name in identifying) not in known:
                result.uncommitted += 1
                if table.partition and (partition := row[table.partition]) is not None:
                    result.batches[partition] = result.batches.get(partition, 0) + 1


def _first(names: Sequence[str]) -> str:
    more = f" and {len(names) - 3:,} more" if len(names) > 3 else ""
    return ", ".join(names[:3]) + more

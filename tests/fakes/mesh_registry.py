"""An in-memory registry that keeps the promises of `gateway.model.ports`; it passes the registry contract."""

import copy
from collections.abc import Callable, Mapping, Sequence

from gateway.model import AccessRecord, DeviceUuid, Document
from gateway.model.ports import SearchQuery, TokenRecord, UpdateProgram
from gateway.model.whitelist import compiled


class MemoryTokens:
    """Matches `TokenRepository`."""

    def __init__(self) -> None:
        self.records: dict[tuple[DeviceUuid, bytes], TokenRecord] = {}

    async def add(self, token: TokenRecord) -> None:
        self.records[token.uuid, token.hash] = token

    async def of(self, uuid: DeviceUuid) -> Sequence[TokenRecord]:
        return [token for token in self.records.values() if token.uuid == uuid]

    async def remove(self, uuid: DeviceUuid, matches: Callable[[TokenRecord], bool]) -> int:
        gone = [token for token in await self.of(uuid) if matches(token)]
        for token in gone:
            del self.records[uuid, token.hash]
        return len(gone)


class MemoryDevices:
    """Matches `DeviceRepository`; `queries` counts the look-ups of access records."""

    def __init__(self, tokens: MemoryTokens) -> None:
        self.documents: dict[DeviceUuid, Document] = {}
        self.queries: list[list[DeviceUuid]] = []
        self._tokens = tokens
        self._version = 0

    async def get(self, uuid: DeviceUuid) -> Document | None:
        return copy.deepcopy(self.documents.get(uuid))

    async def insert(self, document: Document, tokens: Sequence[TokenRecord] = ()) -> None:
        if document["uuid"] in self.documents:
            raise KeyError(document["uuid"])
        self.documents[document["uuid"]] = copy.deepcopy(document)
        self._version += 1
        for token in tokens:
            await self._tokens.add(token)

    async def update(
        self, uuid: DeviceUuid, program: UpdateProgram
    ) -> tuple[Document, Document] | None:
        before = self.documents.get(uuid)
        if before is None:
            return None
        after = program(copy.deepcopy(before))
        if after is None:
            return copy.deepcopy(before), copy.deepcopy(before)
        self.documents[uuid] = copy.deepcopy(after)
        self._version += 1
        return copy.deepcopy(before), after

    async def delete(self, uuid: DeviceUuid) -> Document | None:
        document = self.documents.pop(uuid, None)
        await self._tokens.remove(uuid, lambda _: True)
        return document

    async def search(self, query: SearchQuery) -> Sequence[Document]:
        newest_first = reversed(list(self.documents.values()))
        found = [copy.deepcopy(each) for each in newest_first if query.matches(each)]
        return found[: query.limit]

    async def access_records(
        self, uuids: Sequence[DeviceUuid]
    ) -> Mapping[DeviceUuid, AccessRecord]:
        self.queries.append(list(uuids))
        return {
            uuid: AccessRecord(
                uuid,
                compiled(self.documents[uuid]),
                frozenset(token.hash for token in await self._tokens.of(uuid)),
                self._version,
            )
            for uuid in uuids
            if uuid in self.documents
        }

"""The resource API over HTTP: from a request to an operation of the cluster, and its answer."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable

from aiohttp import web

from . import reviews
from .accounts import account_token
from .audit import USER
from .cluster import Cluster
from .deletion import DeleteOptions
from .errors import (
    ApiError,
    bad_request,
    invalid,
    method_not_allowed,
    no_such_path,
    not_found,
    required,
    unsupported_media,
)
from .kinds import ADMIN, Target, WriteOptions
from .negotiate import METADATA, METADATA_LIST, TABLE, representation
from .patching import Patch
from .paths import ResourcePath
from .podlog import LogSource, parse_request
from .reading import ListOptions, encode_list, encode_record, list_metadata, number, read_page
from .requests import answer, read_document, read_object, write_options
from .scale import scale_of
from .store import Record
from .streaming import Encode, WatchStream
from .tables import TableView, columns_of, partial_metadata
from .values import Object, encode
from .watch import Watcher

Handler = Callable[[web.Request, Target], Awaitable[web.StreamResponse]]


class Handlers:
    """Answers requests about resources. Errors are raised as ApiError."""

    def __init__(self, cluster: Cluster, logs: LogSource, token: str) -> None:
        self._cluster = cluster
        self._logs = logs
        self._token = token
        self.watchers: set[Watcher] = set()

    async def handle(self, request: web.Request, path: ResourcePath) -> web.StreamResponse:
        """Answers a request about a resource."""
        if reviews.is_review(path.group, path.version, path.plural):
            return await self._review(request, path)
        target = self._target(path)
        collection = not path.name
        handler = self._handler(request.method, collection, path.subresource)
        if handler is None:
            raise method_not_allowed(path.group, path.plural)
        if path.subresource and not self._has_subresource(target):
            raise no_such_path()
        return await handler(request, target)

    def _target(self, path: ResourcePath) -> Target:
        kind = self._cluster.registry.find((path.group, path.plural))
        if kind is None or path.version not in kind.versions:
            raise no_such_path()
        if path.namespace is not None and not kind.namespaced:
            raise no_such_path()
        if kind.namespaced and path.namespace is None and path.name:
            raise no_such_path()
        return Target(kind, path.version, path.namespace or "", path.name, path.subresource)

    def _has_subresource(self, target: Target) -> bool:
        kind, name = target.kind, target.subresource
        return (
            name in kind.subresources
            or (name == "status" and kind.status)
            or (name == "scale" and kind.scale is not None)
        )

    def _handler(self, method: str, collection: bool, subresource: str) -> Handler | None:
        if subresource and subresource not in ("status", "scale"):
            return {
                ("GET", "log"): self._log,
                ("POST", "eviction"): self._evict,
                ("POST", "binding"): self._bind,
                ("POST", "token"): self._new_token,
                ("PUT", "finalize"): self._finalize,
            }.get((method, subresource))
        if collection:
            return {
                "GET": self._list_or_watch,
                "POST": self._create,
                "DELETE": self._delete_collection,
            }.get(method)
        if subresource and method == "DELETE":
            return None
        return {
            "GET": self._get_or_watch,
            "PUT": self._update,
            "PATCH": self._patch,
            "DELETE": self._delete,
        }.get(method)

    async def _review(self, request: web.Request, path: ResourcePath) -> web.Response:
        if request.method != "POST":
            raise method_not_allowed(path.group, path.plural)
        user = request.get(USER, ADMIN)
        return answer(reviews.answer(path.plural, await read_object(request), user), 201)

    async def _get_or_watch(self, request: web.Request, target: Target) -> web.StreamResponse:
        if _watches(request):
            return await self._watch(request, target)
        record = self._record(target)
        if target.subresource == "scale":
            return answer(scale_of(target.kind, record.obj))
        wanted = representation(request.headers.get("Accept", ""))
        if wanted == TABLE:
            view = self._view(request, target)
            metadata = {"resourceVersion": str(record.version)}
            return answer(view.table([record], metadata, self._cluster.state.clock()))
        if wanted == METADATA:
            return answer(partial_metadata(record.obj))
        return answer(encode_record(record, target))

    def _record(self, target: Target) -> Record:
        kind = target.kind
        record = self._cluster.store.table(kind.table).get(target.namespace, target.name)
        if record is None:
            raise not_found(kind.group, kind.plural, target.name)
        return record

    def _view(self, request: web.Request, target: Target) -> TableView:
        include = request.query.get("includeObject") or "Metadata"
        if include not in ("None", "Metadata", "Object"):
            raise bad_request(f"unrecognized includeObject value: {include!r}")
        return TableView(target, columns_of(target, self._cluster.store), include)

    async def _list_or_watch(self, request: web.Request, target: Target) -> web.StreamResponse:
        if _watches(request):
            return await self._watch(request, target)
        options = ListOptions.parse(request.query, target)
        page = read_page(self._cluster.store, target, options)
        wanted = representation(request.headers.get("Accept", ""))
        if wanted == TABLE:
            view = self._view(request, target)
            now = self._cluster.state.clock()
            return answer(view.table(page.records, list_metadata(page), now))
        if wanted in (METADATA, METADATA_LIST):
            return answer(
                {
                    "kind": "PartialObjectMetadataList",
                    "apiVersion": "meta.k8s.io/v1",
                    "metadata": list_metadata(page),
                    "items": [partial_metadata(record.obj) for record in page.records],
                }
            )
        return answer(encode_list(page, target))

    async def _watch(self, request: web.Request, target: Target) -> web.StreamResponse:
        options = ListOptions.parse(request.query, target)
        number(request.query, "timeoutSeconds")
        stream = WatchStream(self._cluster.state, target, options)
        return await stream.run(request, self._encoder(request, target), self.watchers)

    def _encoder(self, request: web.Request, target: Target) -> Encode | None:
        wanted = representation(request.headers.get("Accept", ""))
        if wanted == TABLE:
            view = self._view(request, target)

            def as_table(record: Record, first: bool) -> bytes:
                metadata = {"resourceVersion": str(record.version)}
                now = self._cluster.state.clock()
                return encode(view.table([record], metadata, now, headers=first))

            return as_table
        if wanted in (METADATA, METADATA_LIST):
            return lambda record, _first: encode(partial_metadata(record.obj))
        return None

    async def _create(self, request: web.Request, target: Target) -> web.Response:
        options = write_options(request)
        obj = await read_object(request)
        _complete(obj, target)
        if target.kind.namespaced and not target.namespace:
            target = Target(target.kind, target.version, _namespace(obj))
        made = await self._cluster.writes.create(target, obj, options)
        return self._answer(request, target, made, options, 201)

    async def _update(self, request: web.Request, target: Target) -> web.Response:
        options = write_options(request)
        obj = await read_object(request)
        if target.subresource != "scale":
            _complete(obj, target)
        existed = self._exists(target)
        made = await self._cluster.patching.update(target, obj, options)
        return self._answer(request, target, made, options, 200 if existed else 201)

    async def _patch(self, request: web.Request, target: Target) -> web.Response:
        options = write_options(request)
        media = request.content_type
        if not media.startswith("application/"):
            raise unsupported_media(["application/merge-patch+json"])
        if media == "application/apply-patch+yaml" and "fieldManager" not in request.query:
            cause = required("fieldManager", "is required for apply patch")
            raise invalid("meta.k8s.io", "PatchOptions", "", [cause])
        patch = Patch(media, await read_document(request))
        existed = self._exists(target)
        made = await self._cluster.patching.patch(target, patch, options)
        return self._answer(request, target, made, options, 200 if existed else 201)

    def _exists(self, target: Target) -> bool:
        table = self._cluster.store.table(target.kind.table)
        return table.get(target.namespace, target.name) is not None

    def _answer(
        self,
        request: web.Request,
        target: Target,
        obj: Object,
        options: WriteOptions,
        status: int = 200,
    ) -> web.Response:
        """The result of a write, as the client wants to see it."""
        if target.subresource == "scale":
            return answer(obj, status, options.warnings)
        wanted = representation(request.headers.get("Accept", ""))
        record = Record(obj, int(obj["metadata"].get("resourceVersion") or 0))
        if wanted == TABLE:
            view = self._view(request, target)
            table = view.table([record], {}, self._cluster.state.clock())
            return answer(table, status, options.warnings)
        if wanted == METADATA:
            return answer(partial_metadata(obj), status, options.warnings)
        return answer(encode_record(record, target), status, options.warnings)

    async def _delete(self, request: web.Request, target: Target) -> web.Response:
        how, options = await self._delete_options(request)
        uid = self._record(target).obj["metadata"]["uid"]
        deleted = await self._cluster.deletion.delete(target, how, options)
        if not deleted.gone or target.kind.resource == ("", "pods"):
            return self._answer(request, target, deleted.obj, options)
        kind = target.kind
        details: Object = {"name": target.name, "kind": kind.plural, "uid": uid}
        if kind.group:
            details["group"] = kind.group
        body = {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Success",
            "details": details,
        }
        return answer(body, 200, options.warnings)

    async def _delete_options(self, request: web.Request) -> tuple[DeleteOptions, WriteOptions]:
        body = await read_document(request)
        if body is not None and not isinstance(body, dict):
            raise bad_request("the body must be DeleteOptions")
        given: Object = dict(body or {})
        query = request.query
        if query.get("gracePeriodSeconds"):
            given["gracePeriodSeconds"] = number(query, "gracePeriodSeconds")
        if query.get("propagationPolicy"):
            given["propagationPolicy"] = query["propagationPolicy"]
        options = write_options(request)
        if given.get("dryRun"):
            options = WriteOptions(manager=options.manager, user=options.user, dry_run=True)
        return DeleteOptions.parse(given), options

    async def _delete_collection(self, request: web.Request, target: Target) -> web.Response:
        how, options = await self._delete_options(request)
        page = read_page(self._cluster.store, target, ListOptions.parse(request.query, target))
        for record in page.records:
            metadata = record.obj["metadata"]
            one = Target(
                target.kind, target.version, metadata.get("namespace") or "", metadata["name"]
            )
            try:
                await self._cluster.deletion.delete(one, how, options)
            except ApiError as error:
                if error.status != 404:
                    raise
        return answer(encode_list(page, target), 200, options.warnings)

    async def _log(self, request: web.Request, target: Target) -> web.StreamResponse:
        pod = self._record(Target(target.kind, target.version, target.namespace, target.name)).obj
        wanted = parse_request(pod, request.query, self._cluster.state.clock())
        pieces = self._logs.logs(wanted).__aiter__()
        try:
            # The first piece comes before the head, so that an error can still be an answer.
            first = await anext(pieces, b"")
            return await _send_log(request, first, pieces, wanted.limit_bytes)
        finally:
            if isinstance(pieces, AsyncGenerator):
                await pieces.aclose()

    async def _evict(self, request: web.Request, target: Target) -> web.Response:
        body = await read_object(request)
        how = DeleteOptions.parse(body.get("deleteOptions") or {})
        pod = Target(target.kind, target.version, target.namespace, target.name)
        await self._cluster.deletion.delete(pod, how, write_options(request))
        success = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success"}
        return answer(success, 201)

    async def _bind(self, request: web.Request, target: Target) -> web.Response:
        node = ((await read_object(request)).get("target") or {}).get("name")
        pod = Target(target.kind, target.version, target.namespace, target.name)
        patch = Patch("application/merge-patch+json", {"spec": {"nodeName": node}})
        await self._cluster.patching.patch(pod, patch, write_options(request))
        success = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success"}
        return answer(success, 201)

    async def _new_token(self, request: web.Request, target: Target) -> web.Response:
        self._record(Target(target.kind, target.version, target.namespace, target.name))
        body = await read_object(request)
        token = account_token(self._token, target.namespace, target.name)
        return answer(reviews.token_request(self._cluster.state, body, token), 201)

    async def _finalize(self, request: web.Request, target: Target) -> web.Response:
        obj = await read_object(request)
        plain = Target(target.kind, target.version, target.namespace, target.name)
        options = write_options(request)
        made = await self._cluster.patching.update(plain, obj, options)
        return self._answer(request, plain, made, options)


def _watches(request: web.Request) -> bool:
    return request.query.get("watch", "").lower() in ("true", "1")


def _complete(obj: Object, target: Target) -> None:
    """The type may be left out where the path says it."""
    if not obj.get("kind") and not obj.get("apiVersion"):
        obj["kind"], obj["apiVersion"] = target.kind.kind, target.api_version


def _namespace(obj: Object) -> str:
    metadata = obj.get("metadata")
    return str(metadata.get("namespace") or "") if isinstance(metadata, dict) else ""


async def _send_log(
    request: web.Request, first: bytes, pieces: AsyncIterator[bytes], limit: int | None
) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": "text/plain"})
    await response.prepare(request)
    left = limit
    try:
        left = await _write_log(response, first, left)
        if left != 0:
            async for piece in pieces:
                left = await _write_log(response, piece, left)
                if left == 0:
                    break
        await response.write_eof()
    except ConnectionError:
        pass
    return response


async def _write_log(response: web.StreamResponse, piece: bytes, left: int | None) -> int | None:
    """Writes a piece of a log, and returns how many bytes may still follow."""
    if left is None:
        await response.write(piece)
        return None
    await response.write(piece[:left])
    return max(0, left - len(piece))

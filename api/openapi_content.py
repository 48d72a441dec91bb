"""What the OpenAPI document says of files on their way in and out, which are no tools."""

from typing import Any

from api.openapi_errors import named_errors

Schema = dict[str, Any]

_ERRORS = (403, 404, 409, 429, 499, 500, 503, 504)
_ID = {"type": "string", "minLength": 1, "maxLength": 64}
_FORMAT = {"type": "string", "enum": ["CSV", "JSON", "AVRO", "PARQUET", "ARROW"]}
_REQUEST_ID = {"X-Request-Id": {"$ref": "#/components/headers/RequestId"}}
_FILE = {"*/*": {"schema": {"description": "The bytes of the file."}}}
_OF_A_PART = {"Content-Range": {"description": "Which bytes of how many.", "schema": {"type": "string"}}}
_ABOUT = (
    "It needs the link's own `by`, `expires` and `signature`, and no token. Without them, or when they were changed or"
    " their time is over, there is nothing here (404); 403 when the caller the link was made for may not export any"
    " more, 409 when what was read may not be seen as it was. HEAD answers the headers alone."
)


def _parameter(name: str, place: str, about: str, schema: Schema) -> Schema:
    return {"name": name, "in": place, "required": place != "header", "description": about, "schema": schema}


def _download(operation_id: str, tag: str, summary: str, parameters: list[Schema]) -> Schema:
    signed = [
        _parameter("by", "query", "Whom the link speaks for.", {"type": "string"}),
        _parameter("expires", "query", "When it ends.", {"type": "string", "pattern": "^[0-9]{1,12}$"}),
        _parameter("signature", "query", "What binds all of it.", {"type": "string"}),
    ]
    error = {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}
    part = _parameter("Range", "header", "One range of bytes, where the size is known.", {"type": "string"})
    responses = {
        "200": {"description": "The file.", "headers": _REQUEST_ID, "content": _FILE},
        "206": {"description": "A part of the file.", "headers": {**_REQUEST_ID, **_OF_A_PART}, "content": _FILE},
        "416": {
            "description": "The range lies outside of the file.",
            "headers": {**_REQUEST_ID, **_OF_A_PART},
            "content": error,
        },
        **named_errors(_ERRORS),
    }
    return {
        "get": {
            "operationId": operation_id,
            "summary": summary,
            "description": _ABOUT,
            "tags": [tag],
            "security": [],
            "parameters": [*parameters, *signed, part],
            "responses": dict(sorted(responses.items())),
        }
    }


def _rejects() -> Schema:
    found = _download(
        "read_import_job_rejects",
        "projects",
        "Download the rows that an import of yours has set aside, as JSON lines.",
        [_parameter("job_id", "path", "Id of the import job.", _ID)],
    )
    operation = found["get"]
    operation["parameters"] = [item for item in operation["parameters"] if item["in"] != "query"]
    operation["responses"] |= named_errors((401,))
    operation["description"] = "It is there for seven days, for whoever started the import (404 for others)."
    del operation["security"]
    return found


def _upload() -> Schema:
    about = "Which bytes these are: `bytes 0-1048575/5000000`; without it the body is the whole file."
    headers = _REQUEST_ID | {
        "Upload-Offset": {"description": "Where the next range starts.", "schema": {"type": "string"}}
    }
    state: Schema = {
        "type": "object",
        "required": ["upload_id", "received_bytes", "status"],
        "properties": {
            "upload_id": {"type": "string"},
            "received_bytes": {"type": "integer"},
            "status": {"type": "string", "enum": ["open", "complete"]},
        },
    }
    answer = {
        "description": "How much has come.",
        "headers": headers,
        "content": {"application/json": {"schema": state}},
    }
    return {
        "put": {
            "operationId": "put_upload_content",
            "summary": "Send the bytes of an upload, whole or a range after the other.",
            "description": "Ranges come in order; after a break get_upload says where to go on. 409 for any other"
            " range, for more bytes than were announced, and when the SHA-256 is another.",
            "tags": ["assets"],
            "parameters": [
                _parameter("upload_id", "path", "Id, as create_upload answered.", _ID),
                _parameter("Content-Range", "header", about, {"type": "string"}),
            ],
            "requestBody": {"required": True, "content": {"application/octet-stream": {"schema": {}}}},
            "responses": {"200": answer, **named_errors((401, *_ERRORS, 413))},
        }
    }


CONTENT_PATHS: dict[str, Schema] = {
    "/v1/exports/{export_id}/content": _download(
        "read_export_content",
        "query",
        "Download an export by the link of download_export.",
        [_parameter("export_id", "path", "Id of the export.", _ID)],
    ),
    "/v1/export-jobs/{job_id}/content": _download(
        "read_export_job_content",
        "projects",
        "Download a table's export by the link of get_export_job.",
        [_parameter("job_id", "path", "Id of the export job.", _ID)],
    ),
    "/v1/import-jobs/{job_id}/rejects": _rejects(),
    "/v1/uploads/{upload_id}": _upload(),
    "/v1/query-jobs/{job_id}/content/{format}": _download(
        "read_query_job_content",
        "query",
        "Download the rows of a query job by the link of download_query_result.",
        [
            _parameter("job_id", "path", "Id of the query job.", _ID),
            _parameter("format", "path", "Format of the file.", _FORMAT),
        ],
    ),
}

"""Answers of the page's JSON: messages of gRPC in protobuf's JSON form."""

from typing import Any

from fastapi.responses import JSONResponse, Response
from google.protobuf import json_format, message


def json_of(answer: message.Message, **more: Any) -> Response:
    """A message as JSON: 64-bit numbers as strings, bytes in base 64.

    Args:
        more: fields that the page is told besides.
    """
    fields = json_format.MessageToDict(
        answer, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
    )
    return JSONResponse(fields | more)

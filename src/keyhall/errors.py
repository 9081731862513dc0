"""Every refusal Keyhall can make, once: the error table of `/v1`.

Code names rows; nobody else writes a status number or a sentence. A row is a status, OpenAI's
`type` and `code`, a sentence with places for the facts of one request, the advice the docs page
prints, and the exception that the official client raises for it. Sentences that clients are known
to parse (`try again in 1.2s`, `at most 4096`, `maximum context length is 4096`) are kept word for
word as OpenAI's API writes them; what Keyhall adds stands behind them.
"""

from dataclasses import dataclass
from typing import Literal

ErrorType = Literal[
    "invalid_request_error",
    "requests",
    "tokens",
    "insufficient_quota",
    "billing_not_active",
    "server_error",
]


@dataclass(frozen=True, slots=True, eq=False)
class Problem:
    """One row of the table.

    `retry` is what goes into `x-should-retry`: True (worth it), False (never), None (say nothing).
    """

    name: str
    status: int
    type: ErrorType
    code: str | None
    message: str
    advice: str
    client_raises: str
    retry: bool | None = None
    param: str | None = None


class ApiError(Exception):
    """A row of the table, with the facts of one request filled in.

    `facts` fill the places of its sentence. `headers` are extra response headers (lower-case names)
    that belong to this refusal, such as `retry-after-ms`.
    """

    def __init__(
        self,
        problem: Problem,
        *,
        param: str | None = None,
        headers: tuple[tuple[bytes, bytes], ...] = (),
        **facts: object,
    ) -> None:
        super().__init__(problem.message.format(**facts))
        self.problem = problem
        self.facts = facts
        self.param = param if param is not None else problem.param
        self.headers = headers

    def body(self) -> dict[str, dict[str, str | None]]:
        """OpenAI's envelope: message, type, param and code are always present."""
        row = self.problem
        return {
            "error": {
                "message": str(self),
                "type": row.type,
                "param": self.param,
                "code": row.code,
            }
        }


TABLE: dict[str, Problem] = {}


def _row(
    name: str,
    status: int,
    kind: ErrorType,
    code: str | None,
    message: str,
    advice: str,
    raises: str,
    *,
    retry: bool | None = None,
    param: str | None = None,
) -> Problem:
    problem = Problem(name, status, kind, code, message, advice, raises, retry, param)
    assert name not in TABLE, name
    TABLE[name] = problem
    return problem


_INVALID: ErrorType = "invalid_request_error"
_BAD = "BadRequestError"
_AUTH = "AuthenticationError"
_LIMIT = "RateLimitError"
_SERVER = "InternalServerError"

# --- The request's form (400) -------------------------------------------------------------------

BROKEN_JSON = _row(
    "broken_json", 400, _INVALID, None,
    "We could not parse the JSON body of your request. (HINT: This likely means you aren't using "
    "your HTTP library correctly. The OpenAI API expects a JSON payload, but what was sent was "
    "not valid JSON: {detail}.)",
    "Send one JSON object as UTF-8 with `Content-Type: application/json`; let your HTTP library "
    "build it.",
    _BAD,
)  # fmt: skip
LEAK_REPORT_UNREADABLE = _row(
    "leak_report_unreadable", 400, _INVALID, "leak_report_unreadable",
    "We could not read the report: {detail}. Nothing was done.",
    'Send `{"keys": ["sk-kh_…"], "url": "where it was seen"}` with at most 100 keys; a signed '
    "report has the form of GitHub's secret scanning.",
    _BAD, retry=False,
)  # fmt: skip
BROKEN_HTTP = _row(
    "broken_http", 400, _INVALID, "malformed_http",
    "The HTTP request could not be understood: {detail}. The connection is closed.",
    "Use a standard HTTP library. Ambiguous framing (two lengths, folded headers, control "
    "characters) is refused on purpose.",
    _BAD, retry=False,
)  # fmt: skip
MODEL_REQUIRED = _row(
    "model_required", 400, _INVALID, None,
    "you must provide a model parameter",
    'Add `"model": "v1"`; `GET /v1/models` lists the names your key may use.',
    _BAD,
)  # fmt: skip
MISSING_PARAMETER = _row(
    "missing_parameter", 400, _INVALID, "missing_required_parameter",
    "Missing required parameter: '{param_path}'.",
    "Add the parameter that `param` names.",
    _BAD,
)  # fmt: skip
UNKNOWN_PARAMETER = _row(
    "unknown_parameter", 400, _INVALID, "unknown_parameter",
    "Unknown parameter: '{param_path}'.",
    "Remove the parameter, or check its spelling.",
    _BAD,
)  # fmt: skip
INVALID_TYPE = _row(
    "invalid_type", 400, _INVALID, "invalid_type",
    "Invalid type for '{param_path}': expected {expected}, but got {got} instead.",
    "Send the JSON type that the message names.",
    _BAD,
)  # fmt: skip
INVALID_VALUE = _row(
    "invalid_value", 400, _INVALID, "invalid_value",
    "Invalid value: '{got}'. Supported values are: {supported}.",
    "Use one of the values that the message lists.",
    _BAD,
)  # fmt: skip
INTEGER_TOO_SMALL = _row(
    "integer_too_small", 400, _INVALID, "integer_below_min_value",
    "Invalid '{param_path}': integer below minimum value. Expected a value >= {bound}, but got "
    "{got} instead.",
    "Raise the value to the bound.",
    _BAD,
)  # fmt: skip
INTEGER_TOO_LARGE = _row(
    "integer_too_large", 400, _INVALID, "integer_above_max_value",
    "Invalid '{param_path}': integer above maximum value. Expected a value <= {bound}, but got "
    "{got} instead.",
    "Lower the value to the bound.",
    _BAD,
)  # fmt: skip
DECIMAL_TOO_SMALL = _row(
    "decimal_too_small", 400, _INVALID, "decimal_below_min_value",
    "Invalid '{param_path}': decimal below minimum value. Expected a value >= {bound}, but got "
    "{got} instead.",
    "Raise the value to the bound.",
    _BAD,
)  # fmt: skip
DECIMAL_TOO_LARGE = _row(
    "decimal_too_large", 400, _INVALID, "decimal_above_max_value",
    "Invalid '{param_path}': decimal above maximum value. Expected a value <= {bound}, but got "
    "{got} instead.",
    "Lower the value to the bound.",
    _BAD,
)  # fmt: skip
EMPTY_ARRAY = _row(
    "empty_array", 400, _INVALID, "empty_array",
    "Invalid '{param_path}': empty array. Expected an array with minimum length 1, but got an "
    "empty array instead.",
    "Put at least one element into the array.",
    _BAD,
)  # fmt: skip
ARRAY_TOO_LONG = _row(
    "array_too_long", 400, _INVALID, "array_above_max_length",
    "Invalid '{param_path}': array too long. Expected an array with maximum length {bound}, but "
    "got an array with length {got} instead.",
    "Shorten the array to the bound.",
    _BAD,
)  # fmt: skip
EMPTY_STRING = _row(
    "empty_string", 400, _INVALID, "empty_string",
    "Invalid '{param_path}': empty string. Expected a string with minimum length 1, but got an "
    "empty string instead.",
    "Send a string that is not empty, or leave the parameter out.",
    _BAD,
)  # fmt: skip
STRING_TOO_LONG = _row(
    "string_too_long", 400, _INVALID, "string_above_max_length",
    "Invalid '{param_path}': string too long. Expected a string with maximum length {bound}, but "
    "got a string with length {got} instead.",
    "Shorten the string to the bound.",
    _BAD,
)  # fmt: skip
STRING_PATTERN = _row(
    "string_pattern", 400, _INVALID, "invalid_value",
    "Invalid '{param_path}': string does not match pattern. Expected a string that matches the "
    "pattern '{pattern}'.",
    "Use only the characters of the pattern.",
    _BAD,
)  # fmt: skip
OBJECT_TOO_LARGE = _row(
    "object_too_large", 400, _INVALID, "object_above_max_properties",
    "Invalid '{param_path}': too many properties. Expected an object with at most {bound} "
    "properties, but got an object with {got} properties instead.",
    "Send fewer properties.",
    _BAD,
)  # fmt: skip
PROPERTY_NAME_TOO_LONG = _row(
    "property_name_too_long", 400, _INVALID, "property_name_above_max_length",
    "Invalid '{param_path}': property name too long. Expected a name with maximum length {bound}, "
    "but got a name with length {got} instead.",
    "Shorten the property's name.",
    _BAD,
)  # fmt: skip
TOO_DEEP = _row(
    "too_deep", 400, _INVALID, "json_too_deep",
    "The JSON body is nested more than {bound} levels deep.",
    "Flatten the body; schemas and arguments of 64 levels are enough for every known client.",
    _BAD,
)  # fmt: skip
UNSUPPORTED_PARAMETER = _row(
    "unsupported_parameter", 400, _INVALID, "unsupported_parameter",
    "Unsupported parameter: '{param_path}' is not supported with this model. {hint}",
    "Remove the parameter; it would have been ignored otherwise.",
    _BAD,
)  # fmt: skip
UNSUPPORTED_VALUE = _row(
    "unsupported_value", 400, _INVALID, "unsupported_value",
    "Unsupported value: '{param_path}' does not support {got} with this model. {hint}",
    "Use a value that the model supports.",
    _BAD,
)  # fmt: skip
CONTRADICTION = _row(
    "contradiction", 400, _INVALID, "invalid_value",
    "'{one}' is {one_value} and '{other}' is {other_value}: they name the same limit and differ.",
    "Send only one of the two.",
    _BAD,
)  # fmt: skip
CONTEXT_LENGTH = _row(
    "context_length", 400, _INVALID, "context_length_exceeded",
    "This model's maximum context length is {limit} tokens. However, your messages resulted in "
    "{tokens} tokens. Please reduce the length of the messages.",
    'Shorten the conversation, or send `"truncation": "auto"` to have the oldest turns left out. '
    "`keyhall tokens count FILE` gives the same count offline.",
    _BAD, param="messages",
)  # fmt: skip
OUTPUT_TOO_LARGE = _row(
    "output_too_large", 400, _INVALID, None,
    "{field} is too large: {asked}. This model supports at most {limit} completion tokens, "
    "whereas you provided {asked}.",
    "Lower the output cap to the number behind 'at most'.",
    _BAD,
)  # fmt: skip
JSON_WORD_MISSING = _row(
    "json_word_missing", 400, _INVALID, None,
    "'messages' must contain the word 'json' in some form, to use 'response_format' of type "
    "'json_object'.",
    "Tell the model in a message that you want JSON.",
    _BAD, param="messages",
)  # fmt: skip
TOOL_ANSWER_MISSING = _row(
    "tool_answer_missing", 400, _INVALID, None,
    "An assistant message with 'tool_calls' must be followed by tool messages responding to each "
    "'tool_call_id'. The following tool_call_ids did not have response messages: {ids}",
    "Answer every tool call with a `tool` message before the next turn.",
    _BAD,
)  # fmt: skip
TOOL_CALL_MISSING = _row(
    "tool_call_missing", 400, _INVALID, None,
    "Invalid parameter: messages with role 'tool' must be a response to a preceeding message with "
    "'tool_calls'.",
    "Send the assistant message with the `tool_calls` before its results.",
    _BAD,
)  # fmt: skip
TOP_LOGPROBS_ALONE = _row(
    "top_logprobs_alone", 400, _INVALID, None,
    "The 'top_logprobs' parameter is only allowed when 'logprobs' is enabled.",
    'Add `"logprobs": true`.',
    _BAD, param="top_logprobs",
)  # fmt: skip
STREAM_OPTIONS_ALONE = _row(
    "stream_options_alone", 400, _INVALID, None,
    "The 'stream_options' parameter is only allowed when 'stream' is enabled.",
    'Add `"stream": true`, or remove `stream_options`.',
    _BAD, param="stream_options",
)  # fmt: skip
NEEDS_OTHER = _row(
    "needs_other", 400, _INVALID, None,
    "Invalid value for '{param_path}': '{param_path}' is only allowed when '{needed}' are "
    "specified.",
    "Send the parameter that is missing, or remove the one that needs it.",
    _BAD,
)  # fmt: skip
REVIEW_WAIT = _row(
    "review_wait", 400, _INVALID, "invalid_value",
    "Invalid 'x-keyhall-review-wait': expected whole seconds, at most {bound}, but got '{got}' "
    "instead.",
    "Send a number such as `120`, or leave the header out.",
    _BAD, param="x-keyhall-review-wait",
)  # fmt: skip
REQUEST_LOOP = _row(
    "request_loop", 400, _INVALID, "request_loop",
    "This request comes from this very server: one of its engines leads back to it.",
    "Operator: `keyhall engines list` shows where each engine leads; remove the one that comes "
    "back here, perhaps through a proxy.",
    _BAD, retry=False,
)  # fmt: skip
MODERATION_IMAGE = _row(
    "moderation_image", 400, _INVALID, "unsupported_value",
    "Pictures cannot be looked at here: this server's moderation is made of rules for text. Send "
    "the text alone.",
    "Leave out the parts of type `image_url`. A result for them would say that they are harmless, "
    "and nothing has looked at them.",
    _BAD, retry=False,
)  # fmt: skip
CONTENT_BLOCKED = _row(
    "content_blocked", 400, _INVALID, "content_policy_violation",
    "Your request was rejected as a result of our safety system. The rule {rule} found something "
    "in {where}.{reason}",
    "Take out what the rule looks for, or ask whoever runs this place, naming the rule. It costs "
    "no tokens, and counts as a request per minute.",
    _BAD, retry=False,
)  # fmt: skip
MODERATION_BLOCKED = _row(
    "moderation_blocked", 400, _INVALID, "content_policy_violation",
    "Your request was rejected as a result of our safety system: it asks to be blocked where its "
    "input is flagged, and it is flagged as {categories}.",
    "Send something else, or ask for `score` in `moderation.policy.input` to only be told. It "
    "costs no tokens, and counts as a request per minute.",
    _BAD, param="messages", retry=False,
)  # fmt: skip
MODERATION_TOO_LONG = _row(
    "moderation_too_long", 400, _INVALID, "string_too_long",
    "Moderation looks at no more than {bound} characters in one request, and this has {got}.",
    "Leave `moderation` out, or send less.",
    _BAD, param="messages",
)  # fmt: skip
ENGINE_REJECTED = _row(
    "engine_rejected", 400, _INVALID, "engine_rejected",
    "The model's engine refused this request: {detail}",
    "Change the request as the engine's own words say.",
    _BAD,
)  # fmt: skip

# --- Who is asking (401, 403) --------------------------------------------------------------------

NO_KEY = _row(
    "no_key", 401, _INVALID, None,
    "You didn't provide an API key. You need to provide your API key in an Authorization header "
    "using Bearer auth (i.e. Authorization: Bearer YOUR_KEY), or as the password field (with blank "
    "username) if you're accessing the API from your browser and are prompted for a username and "
    "password. You can obtain an API key from {url}.",
    "Set `OPENAI_API_KEY`, or pass `api_key=` to the client.",
    _AUTH,
)  # fmt: skip
LEAK_SIGNATURE_REFUSED = _row(
    "leak_signature_refused", 401, _INVALID, "leak_signature_refused",
    "The signature of this report is refused: {detail}. Nothing was done.",
    "Operator: give GitHub's public keys as `leaks.github_keys_file` or `leaks.github_keys_url`; "
    "whoever is not GitHub sends no signature.",
    _AUTH, retry=False,
)  # fmt: skip
KEY_UNKNOWN = _row(
    "key_unknown", 401, _INVALID, "invalid_api_key",
    "Incorrect API key provided: {key}. You can find your API key at {url}.",
    "Compare the shown ends with your key; create a new one if it is lost.",
    _AUTH,
)  # fmt: skip
KEY_REVOKED = _row(
    "key_revoked", 401, _INVALID, "key_revoked",
    "The API key {key} was revoked on {at}. You can create another at {url}.",
    "Use another key: a revoked key never works again.",
    _AUTH,
)  # fmt: skip
KEY_EXPIRED = _row(
    "key_expired", 401, _INVALID, "key_expired",
    "The API key {key} expired on {at}. You can create another at {url}.",
    "Create another key, or rotate keys before they expire.",
    _AUTH,
)  # fmt: skip
KEY_PAUSED = _row(
    "key_paused", 401, _INVALID, "key_paused",
    "The API key {key} is paused since {at}. It works again once its owner resumes it.",
    "Ask the key's owner: `keyhall keys resume ID`.",
    _AUTH,
)  # fmt: skip
WRONG_ORGANIZATION = _row(
    "wrong_organization", 401, _INVALID, "mismatched_organization",
    "OpenAI-Organization header should match organization for API key",
    "Remove the header; the key alone decides.",
    _AUTH,
)  # fmt: skip
WRONG_PROJECT = _row(
    "wrong_project", 401, _INVALID, "mismatched_project",
    "OpenAI-Project header should match project for API key",
    "Remove the header; the key alone decides.",
    _AUTH,
)  # fmt: skip
IP_REFUSED = _row(
    "ip_refused", 401, _INVALID, "ip_not_authorized",
    "Your IP {ip} is not authorized for the API key {key}.",
    "Call from an address on the key's list, or have the list changed.",
    _AUTH,
)  # fmt: skip
SCOPE_MISSING = _row(
    "scope_missing", 403, _INVALID, "missing_scope",
    "You have insufficient permissions for this operation. Missing scopes: {scope}. The key {key} "
    "is restricted.",
    "Use a key whose scopes cover the endpoint and the model.",
    "PermissionDeniedError",
)  # fmt: skip
MODEL_FORBIDDEN = _row(
    "model_forbidden", 403, _INVALID, "model_not_found",
    "Project `{project}` does not have access to model `{model}`.",
    "Use a model of the project; `GET /v1/models` lists them.",
    "PermissionDeniedError",
)  # fmt: skip
PRICE_MISSING = _row(
    "price_missing", 403, _INVALID, "model_without_price",
    "The model `{model}` has no price, and what the key {key} may spend could not be kept.",
    "Have the operator give the version a price, or use a priced model.",
    "PermissionDeniedError",
)  # fmt: skip

# --- What does not exist (404, 405, 408, 413, 415) -----------------------------------------------

MODEL_UNKNOWN = _row(
    "model_unknown", 404, _INVALID, "model_not_found",
    "The model `{model}` does not exist or you do not have access to it.",
    "`GET /v1/models` lists the names your key may use.",
    "NotFoundError",
)  # fmt: skip
MODERATION_MODEL = _row(
    "moderation_model", 404, _INVALID, "model_not_found",
    "The model `{model}` does not exist for moderations. This server's is `keyhall-rules`.",
    "Leave `model` out. The names of OpenAI's moderation models are understood too; rules answer "
    "for them, and the answer's `model` says so.",
    "NotFoundError",
    param="model",
)  # fmt: skip
MODEL_RETIRED = _row(
    "model_retired", 404, _INVALID, "model_not_found",
    "The model `{model}` was retired on {at}. {instead}",
    "Use the model that the message names instead.",
    "NotFoundError",
)  # fmt: skip
LEAK_REPORTS_OFF = _row(
    "leak_reports_off", 404, _INVALID, "leak_reports_off",
    "This server takes no reports of leaked keys.",
    "Tell whoever runs it, or the key's owner; operator: `leaks.enabled`.",
    "NotFoundError", retry=False,
)  # fmt: skip
COMPLETION_UNKNOWN = _row(
    "completion_unknown", 404, _INVALID, "completion_not_found",
    "There is no completion `{id}` in your project.",
    "Send the `id` of an answer that a key of the same project got. It is known a moment after "
    "the answer's end.",
    "NotFoundError", param="completion_id",
)  # fmt: skip
REVIEW_UNKNOWN = _row(
    "review_unknown", 404, _INVALID, "review_not_found",
    "There is no answer under review with the id `{id}` in your project.",
    "Use the `location` of the 202 that you got, with a key of the same project.",
    "NotFoundError",
)  # fmt: skip
REVIEW_GONE = _row(
    "review_gone", 410, _INVALID, "review_gone",
    "The answer {id} was decided, and is not kept any longer.",
    "Fetch an answer within a day of its decision.",
    "APIStatusError", retry=False,
)  # fmt: skip
ROUTE_UNKNOWN = _row(
    "route_unknown", 404, _INVALID, None,
    "Invalid URL ({method} {path})",
    "Check the path: the base URL of clients ends in `/v1`.",
    "NotFoundError",
)  # fmt: skip
METHOD_REFUSED = _row(
    "method_refused", 405, _INVALID, "method_not_supported",
    "Not allowed to {method} on {path}. (HINT: Perhaps you meant to use a different HTTP method?)",
    "Use the method in the `allow` header.",
    "APIStatusError",
)  # fmt: skip
REVIEW_PENDING = _row(
    "review_pending", 409, _INVALID, "review_pending",
    "No person has decided on this answer yet. It will be at {location}.",
    "A stream that waited in vain. Fetch the answer from that address with a key of the same "
    "project, or wait longer: `x-keyhall-review-wait`.",
    "ConflictError", retry=False,
)  # fmt: skip
BODY_TOO_SLOW = _row(
    "body_too_slow", 408, _INVALID, "request_timeout",
    "The request did not arrive in time: {detail}. The connection is closed.",
    "Send the head within 10 s and the body at 1 KiB/s or faster.",
    "APIStatusError",
)  # fmt: skip
BODY_TOO_LARGE = _row(
    "body_too_large", 413, _INVALID, "request_too_large",
    "The request body is larger than {bound} bytes. The connection is closed.",
    "Send less: a conversation of 4,096 tokens is a few tens of kilobytes.",
    "APIStatusError",
)  # fmt: skip
HEAD_TOO_LARGE = _row(
    "head_too_large", 431, _INVALID, "headers_too_large",
    "The request's headers are larger than {bound} bytes. The connection is closed.",
    "Send fewer or shorter headers.",
    "APIStatusError",
)  # fmt: skip
CONTENT_TYPE_REFUSED = _row(
    "content_type_refused", 415, _INVALID, "unsupported_content_type",
    "Unsupported content {what}: '{got}'. This endpoint takes application/json without a content "
    "encoding.",
    "Send plain JSON; compressed request bodies are not accepted.",
    "APIStatusError",
)  # fmt: skip

# --- Limits (429) --------------------------------------------------------------------------------

LEAK_REPORTS_MANY = _row(
    "leak_reports_many", 429, "requests", "leak_reports_many",
    "Too many reports of leaked keys came in this minute. Nothing was done with this one.",
    "Wait as long as `retry-after` says, and put up to 100 keys into one report.",
    _LIMIT, retry=True,
)  # fmt: skip
RATE_REQUESTS = _row(
    "rate_requests", 429, "requests", "rate_limit_exceeded",
    "Rate limit reached for {model} in organization {organization} on requests per min (RPM): "
    "Limit {limit}, Used {used}, Requested 1. Please try again in {wait}. The limit is that of "
    "the {scope}; in flight: {held}, remaining: {remaining}. Visit {url} to learn more.",
    "Wait as long as `retry-after-ms` says: that retry succeeds if nothing else is admitted.",
    _LIMIT, retry=True,
)  # fmt: skip
RATE_TOKENS = _row(
    "rate_tokens", 429, "tokens", "rate_limit_exceeded",
    "Rate limit reached for {model} in organization {organization} on tokens per min (TPM): "
    "Limit {limit}, Used {used}, Requested {requested}. Please try again in {wait}. The limit is "
    "that of the {scope}; held by open requests: {held}, remaining: {remaining}. {fits} Visit "
    "{url} to learn more.",
    "Wait as long as `retry-after-ms` says, or lower `max_tokens` to what fits now.",
    _LIMIT, retry=True,
)  # fmt: skip
RATE_IN_FLIGHT = _row(
    "rate_in_flight", 429, "requests", "rate_limit_exceeded",
    "Rate limit reached for {model} in organization {organization} on requests in flight: Limit "
    "{limit}, Used {used}, Requested 1. The limit is that of the {scope}. Please try again in "
    "{wait}. Visit {url} to learn more.",
    "Wait for one of your open requests to end.",
    _LIMIT, retry=True,
)  # fmt: skip
FEEDBACK_RATE = _row(
    "feedback_rate", 429, "requests", "rate_limit_exceeded",
    "The key {key} gives more feedback than {limit} times a minute. Please try again in {wait}.",
    "Wait as long as the message says. Feedback counts against none of your limits.",
    _LIMIT, retry=True,
)  # fmt: skip
REQUEST_TOO_LARGE = _row(
    "request_too_large", 429, "tokens", "rate_limit_exceeded",
    "Request too large for {model} in organization {organization} on tokens per min (TPM): Limit "
    "{limit}, Requested {requested}. The input or output tokens must be reduced in order to run "
    "successfully. The limit is that of the {scope}. Visit {url} to learn more.",
    "Lower `max_tokens`, `n` or the input: this request can never fit, so do not retry it.",
    _LIMIT, retry=False,
)  # fmt: skip
RATE_NONE = _row(
    "rate_none", 429, "requests", "rate_limit_exceeded",
    "Request refused for {model} in organization {organization}: the {scope} is limited to {limit} "
    "on {resource}, so that no request can be admitted. Visit {url} to learn more.",
    "Ask whoever set the limit: waiting does not help, so do not retry.",
    _LIMIT, retry=False,
)  # fmt: skip
_USED = (
    "{scope} {owner}: {used} of {amount} {resource} {period} are used, {held} are held by open "
    "requests, and this one may need {requested}. "
)
QUOTA_EXHAUSTED = _row(
    "quota_exhausted", 429, "insufficient_quota", "insufficient_quota",
    "You exceeded your current quota, please check your plan and billing details. It is that of "
    "the " + _USED + "{until} For more information on this error, read the docs: {url}.",
    "Ask whoever set the quota for more, or wait until its period is over; asking for less output "
    "(`max_tokens`) may fit what remains. Retrying does not help before that.",
    _LIMIT, retry=False,
)  # fmt: skip
SPEND_LIMIT = _row(
    "spend_limit", 429, "insufficient_quota", "project_spend_limit_exceeded",
    "Your project has reached its configured enforced spend limit. Update your limit at {url}. It "
    "is that of the " + _USED + "{until}",
    "Ask whoever runs the project for a higher limit, or wait until its period is over.",
    _LIMIT, retry=False,
)  # fmt: skip
QUOTA_HELD = _row(
    "quota_held", 429, "requests", "rate_limit_exceeded",
    "Your quota has room for this request only if your open requests use less than they hold. It "
    "is that of the " + _USED + "Please try again in {wait}.",
    "Wait for your open requests to end, or lower `max_tokens`: what they do not use is given back "
    "at once.",
    _LIMIT, retry=True,
)  # fmt: skip
LIMITS_AWAY = _row(
    "limits_away", 503, "server_error", "limits_away",
    "The counters that all servers share cannot be reached, and what this server may admit by "
    "itself for {model} is used up. Please try again in {wait}.",
    "Retry after `retry-after-ms`: it returns by itself. Operator: `/readyz` says why.",
    _SERVER, retry=True,
)  # fmt: skip
BILLING_INACTIVE = _row(
    "billing_inactive", 429, "billing_not_active", "billing_not_active",
    "Your account is not active, please check your billing details on our website.",
    "Ask the operator: the organization is suspended (`keyhall organizations resume ID`).",
    _LIMIT, retry=False,
)  # fmt: skip

# --- Ours and the engine's (5xx) -----------------------------------------------------------------

INTERNAL = _row(
    "internal", 500, "server_error", None,
    "The server had an error while processing your request. Sorry about that! Quote {request_id} "
    "if you write to us.",
    "Retry; if it stays, give the request id to the operator.",
    _SERVER,
)  # fmt: skip
SANDBOX_FAILED = _row(
    "sandbox_failed", 500, "server_error", None,
    "The server had an error while processing your request. Sorry about that! (This is the "
    "sandbox's script `{script}`, which fails on purpose.)",
    "Retry: the script succeeds the second time.",
    _SERVER,
)  # fmt: skip
SANDBOX_LIMITED = _row(
    "sandbox_limited", 429, "requests", "rate_limit_exceeded",
    "Rate limit reached for {model} on requests per min (RPM): Limit 3, Used 3, Requested 1. "
    "Please try again in 1s. (This is the sandbox's script, which always answers so.)",
    "Nothing to do: `sandbox/429` exists to test how your program takes a 429.",
    _LIMIT, retry=True,
)  # fmt: skip
ENGINE_FAILED = _row(
    "engine_failed", 502, "server_error", "engine_failed",
    "The model's engine failed: {detail}. No tokens were charged unless part of an answer was "
    "sent.",
    "Retry; `/readyz` and `keyhall doctor` tell the operator which engine is ill.",
    _SERVER,
)  # fmt: skip
ENGINE_BUSY = _row(
    "engine_busy", 503, "server_error", "server_is_overloaded",
    "The server is overloaded or not ready yet. {detail}",
    "Retry after the time in `retry-after`.",
    _SERVER, retry=True,
)  # fmt: skip
ENGINE_QUEUE_FULL = _row(
    "engine_queue_full", 503, "server_error", "server_is_overloaded",
    "The server is overloaded or not ready yet. The queue of the model is full: {detail}",
    "Retry after the time in `retry-after`, or send fewer requests at once.",
    _SERVER, retry=True,
)  # fmt: skip
JOURNAL_FULL = _row(
    "journal_full", 503, "server_error", "server_is_overloaded",
    "The server is overloaded or not ready yet. {open} requests are open or not recorded yet, "
    "which is as many as can be metered safely.",
    "Retry after the time in `retry-after`.",
    _SERVER, retry=True,
)  # fmt: skip
BODIES_FULL = _row(
    "bodies_full", 503, "server_error", "server_is_overloaded",
    "The server is overloaded or not ready yet. As many large requests are on their way as it has "
    "memory for.",
    "Retry after the time in `retry-after`.",
    _SERVER, retry=True,
)  # fmt: skip
CONTENT_UNREADABLE = _row(
    "content_unreadable", 503, "server_error", "content_unreadable",
    "{what}: the key that your organization's content is encrypted with is missing here, or was "
    "changed. Please tell the operator.",
    "Fetch a held answer again once it is mended, within a day of its decision. Operator: "
    "`content_unreadable` in the log says which pepper is missing; put it back behind the newer "
    "ones.",
    _SERVER, retry=False,
)  # fmt: skip
STORE_AWAY = _row(
    "store_away", 503, "server_error", "server_is_overloaded",
    "The server is overloaded or not ready yet. The key store does not answer at present.",
    "Retry after the time in `retry-after`; nothing was charged, save for an answer that was to "
    "wait for a person and could not be kept.",
    _SERVER, retry=True,
)  # fmt: skip
SHUTTING_DOWN = _row(
    "shutting_down", 503, "server_error", "server_is_overloaded",
    "The server is overloaded or not ready yet. It is shutting down.",
    "Retry: another process answers, or this one once it is back.",
    _SERVER, retry=True,
)  # fmt: skip
ENGINE_TIMEOUT = _row(
    "engine_timeout", 504, "server_error", "engine_timeout",
    "The model's engine did not answer in time: {detail}.",
    "Retry, or stream the answer so that its first tokens arrive early.",
    _SERVER,
)  # fmt: skip

"""An OpenAI-compatible server (vLLM, llama-server, Ollama ...) in the local engine's place: ``--model URL``.

Loaded only where the model is given as a URL; nothing else in eimf-local opens a connection. The server applies its
own chat template. It must hold its answers to a JSON schema: that is tried at the start, and every answer is checked.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit

from ..artifacts import digest_of
from ..errors import InferenceError
from .llm import Answer, Failure, Request
from .llm_server_http import API_KEY, JsonClient, RefusedError, UnansweredError
from .prompts import Prompt

_PARALLEL = 8  # the server queues what it cannot batch
_USELESS_IN_A_ROW = 8  # answers without use before the run stops
_TOO_LONG = re.compile(r"context|too long|too large|maximum.*length|exceed", re.IGNORECASE)
_SPEC = re.compile(r"(?P<url>https?://[^\s?@#]+?)/*(#(?P<model>.+))?")
_PROBE = Prompt(user="", system="You are polite.", before="Say hello.", titles=(), after="")
_PROBE_TOKENS = 64


@dataclass(frozen=True)
class ServerModel:
    """A model behind a server's base URL. Nobody here can check its weights: its identity is URL and name."""

    url: str
    model: str

    @property
    def name(self) -> str:
        """What records and reports call it; fit for a file's name."""
        return re.sub(r"[^\w.+@-]+", "-", f"{self.model}@{self.url.partition('://')[2]}").strip(".-")

    @property
    def sha256(self) -> str:
        """Digest of the identity (hex), where a file's record has the digest of its bytes."""
        return digest_of({"server": self.url, "model": self.model})

    def connect(self, *, schema: Mapping[str, Any], parallel: int = 0) -> ServerLLM:
        """What asks it; arguments as of :class:`ServerLLM`."""
        return ServerLLM(self, schema=schema, parallel=parallel)


def find_server(spec: str) -> ServerModel:
    """The model of ``http(s)://HOST[:PORT]/v1[#MODEL]``; without a name, the one that the server lists.

    Raises :class:`InferenceError` where the URL cannot be used, the server cannot be reached, or it lists several.
    """
    url, model = _split(spec)
    if model:
        return ServerModel(url, model)
    served = _served_models(JsonClient(url))
    if len(served) != 1:
        listed = ", ".join(served) or "none"
        raise InferenceError(
            f"server {url} serves {len(served)} models: {listed}", hint=f"name one: --model '{url}#NAME'"
        )
    return ServerModel(url, served[0])


class ServerLLM:
    """Asks a server, several requests at once; use it as a context manager.

    ``schema`` binds every answer; ``parallel`` requests are under way at once, 0 means 8. Entering it finds out in
    which form the server takes the schema, and raises :class:`InferenceError` where it does not keep to it; then
    ``description`` tells URL, model and form.
    """

    def __init__(self, model: ServerModel, *, schema: Mapping[str, Any], parallel: int = 0) -> None:
        self.model = model
        self._schema = schema
        self._parallel = parallel or _PARALLEL
        self._client = JsonClient(model.url)
        self._form: dict[str, Any] = {}
        self.description: dict[str, Any] = {}

    def __enter__(self) -> ServerLLM:
        self._form = self._accepted_form()
        self.description = {
            "server": self.model.url,
            "model": self.model.model,
            "response_format": self._form["response_format"]["type"],
        }
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Break off the requests under way."""
        self._client.close()

    def answers(self, requests: Sequence[Request]) -> Iterator[tuple[int, Answer | Failure]]:
        """(index into ``requests``, outcome), in the order in which they finish.

        An answer that is not of the schema's shape is handed on as it is. Useless outcomes wait for the next good one;
        after ``_USELESS_IN_A_ROW`` of them the server is given up with an :class:`InferenceError`, and they were never
        handed on, so that the next run asks them again. Abandoning the iterator breaks off what is under way.
        """
        self._client.open()
        useless: list[tuple[int, Answer | Failure]] = []
        at_once = min(self._parallel, len(requests)) or 1
        with ThreadPoolExecutor(at_once) as pool:
            try:
                indices = {pool.submit(self._answer, request, at_once): n for n, request in enumerate(requests)}
                for future in as_completed(indices):
                    index, outcome = indices[future], future.result()
                    if isinstance(outcome, Answer) and self._keeps_to_schema(outcome):
                        yield from useless
                        useless.clear()
                        yield index, outcome
                    else:
                        useless.append((index, outcome))
                        if len(useless) == _USELESS_IN_A_ROW:
                            raise self._given_up(outcome)
                yield from useless
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                self.close()
                raise

    def _answer(self, request: Request, at_once: int) -> Answer | Failure:
        """One answer; as long as the server finds the prompt too long, a quarter of the titles is dropped.

        Its ``seconds`` are its share where ``at_once`` requests are under way.
        """
        dropped, shown = 0, len(request.prompt.titles)
        while True:
            try:
                answer = self._ask(request, self._form, dropped=dropped)
                return replace(answer, seconds=round(answer.seconds / at_once, 4))
            except RefusedError as refusal:
                if not _TOO_LONG.search(str(refusal)) or shown - dropped <= 1:
                    return Failure(f"server {self.model.url} refuses it: {refusal}")
                dropped += max(1, (shown - dropped) // 4)
            except UnansweredError as reason:
                return Failure(f"server {self.model.url}: {reason}")

    def _ask(self, request: Request, form: Mapping[str, Any], *, dropped: int = 0, probing: bool = False) -> Answer:
        started = time.perf_counter()
        prompt = request.prompt
        contents = {"system": prompt.system, "user": prompt.question(dropped=dropped)}
        reply = self._client.request(
            "POST",
            "/chat/completions",
            {
                "model": self.model.model,
                "messages": [
                    {"role": role, "content": text.encode("utf-8", errors="replace").decode()}
                    for role, text in contents.items()
                ],
                "max_tokens": request.max_tokens,
                "temperature": request.temperature,
                "top_p": 0.9,
                "seed": request.seed,
                "stream": False,
                **form,
            },
            probing=probing,
        )
        try:
            choice, usage = reply["choices"][0], reply.get("usage") or {}
            return Answer(
                text=self._normalised(choice["message"].get("content") or ""),
                finish="length" if choice.get("finish_reason") == "length" else "stop",
                prompt_tokens=int(usage.get("prompt_tokens") or 0),
                tokens=int(usage.get("completion_tokens") or 0),
                seconds=round(time.perf_counter() - started, 4),
                titles_dropped=dropped,
            )
        except (LookupError, TypeError, ValueError, AttributeError):
            raise UnansweredError("its reply holds no answer") from None

    def _normalised(self, text: str) -> str:
        """A whole answer as strict JSON within the schema's upper bounds; anything else as it is.

        llama.cpp's own grammar lets raw control characters into strings, and not every server enforces lengths.
        """
        try:
            return json.dumps(_fitted(json.loads(text, strict=False), self._schema), ensure_ascii=False)
        except (ValueError, RecursionError):
            return text

    def _keeps_to_schema(self, answer: Answer) -> bool:
        if answer.finish == "length":
            return answer.text.lstrip().startswith("{")
        try:
            _fitted(json.loads(answer.text), self._schema)
        except (ValueError, RecursionError):
            return False
        return True

    def _accepted_form(self) -> dict[str, Any]:
        """The first form of the schema that the server accepts and keeps to, on a question that asks for no JSON."""
        probe = Request(_PROBE, max_tokens=_PROBE_TOKENS, temperature=0.0, seed=0)
        problem = ""
        for form in _forms(self._schema):
            try:
                answer = self._ask(probe, form, probing=True)
            except RefusedError as refusal:
                problem = problem or f"it refuses the request: {refusal}"
            except UnansweredError as reason:
                raise InferenceError(f"server {self.model.url}: {reason}", hint="look into its log") from None
            else:
                if self._keeps_to_schema(answer):
                    return form
                problem = f"it ignores the JSON schema and says {_shortened(answer.text)}"
        raise InferenceError(f"server {self.model.url} cannot be used: {problem}", hint=_NEEDS)

    def _given_up(self, last: Answer | Failure) -> InferenceError:
        if isinstance(last, Failure):
            problem, hint = last.reason, "look into its log; earlier answers are kept, run the same command to go on"
        else:
            problem, hint = f"server {self.model.url} ignores the JSON schema and says {_shortened(last.text)}", _NEEDS
        return InferenceError(f"{_USELESS_IN_A_ROW} prompts in a row without a usable answer: {problem}", hint=hint)


_NEEDS = "it must support response_format json_schema; switch a model's thinking off in the server"


def _forms(schema: Mapping[str, Any]) -> list[dict[str, Any]]:
    """How servers take a schema, the most informative first; an unknown key is refused by some."""
    plain = {key: value for key, value in schema.items() if not key.startswith("x-")}
    strict = {
        "response_format": {
            "type": "json_schema",
            "json_schema": {"name": "interests", "strict": True, "schema": plain},
        }
    }
    return [
        {**strict, "chat_template_kwargs": {"enable_thinking": False}},  # vLLM, llama-server: Qwen3 answers at once
        strict,
        {"response_format": {"type": "json_object", "schema": plain}},  # llama-cpp-python
    ]


def _fitted(value: Any, schema: Mapping[str, Any]) -> Any:
    """``value`` cut to the schema's maxItems and maxLength; raises :class:`ValueError` where its shape is another."""
    kind = schema["type"]
    if kind == "string" and isinstance(value, str):
        return value[: schema.get("maxLength")]
    if kind == "array" and isinstance(value, list):
        return [_fitted(item, schema["items"]) for item in value[: schema.get("maxItems")]]
    if kind == "object" and isinstance(value, dict) and value.keys() == schema["properties"].keys():
        return {key: _fitted(item, schema["properties"][key]) for key, item in value.items()}
    raise ValueError(f"not of type {kind}")


def _split(spec: str) -> tuple[str, str | None]:
    """Base URL and model's name."""
    parts = _SPEC.fullmatch(spec)
    if parts and _has_host(parts["url"]):
        return parts["url"], parts["model"]
    raise InferenceError(  # which does not show it: it may hold a password
        "this is no server's URL, or it holds a user, a password or a query",
        hint=f"give it as http://127.0.0.1:8000/v1, and a key in the environment variable {API_KEY}",
    )


def _has_host(url: str) -> bool:
    """Whether http.client can make something of it."""
    try:
        return url.isascii() and url.isprintable() and bool(urlsplit(url).hostname) and urlsplit(url).port != 0
    except ValueError:
        return False


def _served_models(client: JsonClient) -> list[str]:
    try:
        reply = client.request("GET", "/models")
        return [str(entry["id"]) for entry in reply["data"]]
    except (UnansweredError, LookupError, TypeError) as problem:
        reason = str(problem) if isinstance(problem, UnansweredError) else "its /models is no list of models"
        raise InferenceError(
            f"server {client.url} does not say what it serves: {reason}",
            hint=f"give the base URL of an OpenAI-compatible server, or name the model: --model '{client.url}#NAME'",
        ) from None


def _shortened(text: str) -> str:
    line = " ".join(text.split())
    return repr(line if len(line) <= 60 else line[:59] + "…")

"""The official OpenAI SDK, pointed at a running gateway.

Environment: CAUSEWAY_URL, CAUSEWAY_TOKEN (an access token or a personal access token), and optionally
CAUSEWAY_MODEL (default `auto`) and CAUSEWAY_EXPECT (a text that both answers must contain).
Prints one JSON object and exits 0; anything unexpected is a traceback and exit 1.
"""

import json
import os
import sys

import openai

PROMPT = [
    {"role": "system", "content": "Answer in one sentence."},
    {"role": "user", "content": "Say why a causeway is useful."},
]


def setting(name):
    value = os.environ.get(name)
    if not value:
        sys.exit(f"{sys.argv[0]}: set {name}")
    return value


def client(key):
    return openai.OpenAI(base_url=setting("CAUSEWAY_URL").rstrip("/") + "/v1", api_key=key, max_retries=0, timeout=30)


def plain(api, model):
    answer = api.chat.completions.create(model=model, messages=PROMPT, max_tokens=64)
    choice = answer.choices[0]
    assert answer.object == "chat.completion", answer.object
    assert choice.message.role == "assistant" and choice.message.content, choice
    assert choice.finish_reason in ("stop", "length"), choice.finish_reason
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens > 0, answer.usage
    return {"id": answer.id, "model": answer.model, "content": choice.message.content, "usage": answer.usage.to_dict()}


def streamed(api, model):
    text, finish, usage, ids, chunks = "", None, None, set(), 0
    stream = api.chat.completions.create(
        model=model, messages=PROMPT, max_tokens=64, stream=True, stream_options={"include_usage": True}
    )
    for chunk in stream:
        chunks += 1
        ids.add(chunk.id)
        assert chunk.object == "chat.completion.chunk", chunk.object
        for choice in chunk.choices:
            text += choice.delta.content or ""
            finish = choice.finish_reason or finish
        usage = chunk.usage or usage
    assert text, "no text came"
    assert finish in ("stop", "length"), finish
    assert len(ids) == 1, f"one answer has one id, not {ids}"
    assert usage and usage.total_tokens > 0, usage
    return {"id": ids.pop(), "content": text, "chunks": chunks, "finish_reason": finish, "usage": usage.to_dict()}


def refused():
    try:
        client("cw_pat_not-a-token").chat.completions.create(model="auto", messages=PROMPT)
    except openai.AuthenticationError as error:
        assert error.status_code == 401 and error.body.get("message"), error.body
        return {"status": error.status_code, "body": error.body}
    raise AssertionError("a wrong key was accepted")


def main():
    api, model = client(setting("CAUSEWAY_TOKEN")), os.environ.get("CAUSEWAY_MODEL") or "auto"
    result = {
        "client": f"openai-python {openai.__version__}",
        "models": [listed.id for listed in api.models.list()],
        "plain": plain(api, model),
        "streamed": streamed(api, model),
        "refused": refused(),
    }
    expected = os.environ.get("CAUSEWAY_EXPECT", "")
    for way in ("plain", "streamed"):
        assert expected in result[way]["content"], f"{way}: {expected!r} is not in {result[way]['content']!r}"
    print(json.dumps(result))


if __name__ == "__main__":
    main()

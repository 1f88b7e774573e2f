"""What the vendors' own SDKs make of the replies in host/ai/tests/cases/replies.json.

    python -m venv v && v/bin/pip install openai anthropic google-genai
    v/bin/python tests/standins/sdk_table.py > docs/src/reference/odd-replies.md

Each reply is served byte for byte by a local server and read by the SDK of its protocol. What the
gateway makes of it is the `want` of the case, which a test of host/ai holds it to.
"""

import json
import logging
import re
import sys
import textwrap
import threading
import warnings
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import version
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CASES = ROOT / "host/ai/tests/cases/replies.json"
SDKS = {"openai": "openai", "anthropic": "anthropic", "gemini": "google-genai"}
# Of replies that are alike, one for each protocol and result stands for the others.
FAMILIES = re.compile(r"^(tokens are|usage is|model is|refusal is|finish|thinking,|native|compressed|"
                      r"heartbeat|no money:|status|an error that says nothing:|"
                      r"anthropic whole without|anthropic stream without|gemini whole without)")


def replies():
    for case in json.loads(CASES.read_text()):
        if case["provider"] in SDKS:
            latin = case.get("reply_latin1")
            case["bytes"] = latin.encode("latin-1") if latin else case["reply"].encode()
            yield case


def serve(cases):
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            self.rfile.read(int(self.headers.get("content-length") or 0))
            number = int(self.path.split("/")[1])
            self.wfile.write(cases[number]["bytes"])
            self.close_connection = True

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server.server_address[1]


def is_stream(case):
    head, _, _ = case["bytes"].partition(b"\r\n\r\n")
    return b"text/event-stream" in head.lower()


def ask_openai(base, case):
    import openai

    client = openai.OpenAI(base_url=base, api_key="k", max_retries=0, timeout=5)
    messages = [{"role": "user", "content": "x"}]
    if not is_stream(case):
        choice = client.chat.completions.create(model="m", messages=messages).choices[0]
        return choice.message.content, choice.finish_reason
    text, reason = "", None
    for chunk in client.chat.completions.create(model="m", messages=messages, stream=True):
        for choice in chunk.choices:
            text += choice.delta.content or ""
            reason = choice.finish_reason or reason
    return text, reason


def ask_anthropic(base, case):
    import anthropic

    client = anthropic.Anthropic(base_url=base, api_key="k", max_retries=0, timeout=5)
    request = {"model": "m", "max_tokens": 99, "messages": [{"role": "user", "content": "x"}]}
    if is_stream(case):
        with client.messages.stream(**request) as stream:
            message = stream.get_final_message()
    else:
        message = client.messages.create(**request)
    text = "".join(part.text for part in message.content if part.type == "text")
    return text, message.stop_reason


def ask_gemini(base, case):
    from google import genai

    client = genai.Client(api_key="k", http_options={"base_url": base, "timeout": 5000})
    request = {"model": "m", "contents": "x"}
    if not is_stream(case):
        reply = client.models.generate_content(**request)
        return reply.text, reply.candidates[0].finish_reason
    text, reason = "", None
    for part in client.models.generate_content_stream(**request):
        text += part.text or ""
        reason = part.candidates[0].finish_reason if part.candidates else reason
    return text, reason


ASK = {"openai": ask_openai, "anthropic": ask_anthropic, "gemini": ask_gemini}


def short(text, most=70):
    text = " ".join(str(text).encode(errors="replace").decode().split())
    text = text if len(text) <= most else text[: most - 1] + "…"
    return text.replace("|", "\\|").replace("<", "&lt;").replace("[", "\\[")


def sdk_says(port, number, case):
    try:
        text, reason = ASK[case["provider"]](f"http://127.0.0.1:{port}/{number}", case)
    except Exception as error:  # whatever an SDK raises is what it says
        status = getattr(error, "status_code", None) or getattr(error, "code", None)
        status = f" {status}" if isinstance(status, int) else ""
        return "raises", f"raises `{type(error).__name__}`{status}", None
    reason = getattr(reason, "value", reason)
    if not text:
        return "nothing", f"no text, end `{short(reason, 30)}`", reason
    return text, f"“{short(text, 40)}”, end `{short(reason, 30)}`", reason


def we_say(want):
    if "text" in want:
        return want["text"], f"“{short(want['text'], 40)}”"
    if "json" in want:
        return json.dumps(want["json"]), f"`{short(json.dumps(want['json']), 40)}`"
    if "kind" in want:
        return "raises", f"`{want['kind']}`"
    return "raises", "an error"


def is_equal_json(one, other):
    try:
        return json.loads(one) == json.loads(other)
    except ValueError:
        return False


def why(sdk, ours, want):
    """Why the two differ."""
    if sdk == ours:
        return None
    if sdk == "raises" and ours != "raises":
        return "the text is whole; what the SDK cannot read, the reply does not need"
    if ours == "raises" and sdk != "raises":
        return {
            "truncated": "not whole, or nothing says that it is; the SDK leaves this to its caller",
            "content_filtered": "a filter ended it; the SDK leaves this to its caller",
            "quota_exhausted": "an error about money with a status of success",
            "auth": "an error with a status of success",
            "not_found": "an error with a status of success",
            "overloaded": "the server gave up, and says so only in the reason why it ended",
            "empty": "no reply",
            "protocol": "not the protocol",
            "malformed": "more than one value: which one is meant is not known",
            "timeout": "the stream was not read to its end",
        }.get(want.get("kind"), "an error that the SDK does not show")
    if sdk == "nothing":
        return "the text is in a place that the SDK does not read"
    if not isinstance(sdk, str):
        return "the text is in parts, which the SDK hands over as they are"
    if any("\ud800" <= character <= "\udfff" for character in sdk):
        return "halves of a character are joined, or replaced"
    if is_equal_json(sdk, ours):
        return "numbers without a fraction are written as integers, for types that take no others"
    if "json" in want:
        return "the value is found in the text and checked; the SDK returns the text"
    return "what is no part of the reply (thinking, marks, a second copy) is left out"


def print_paragraph(text):
    print(textwrap.fill(text, 100, break_on_hyphens=False) + "\n")


def main():
    logging.disable(logging.CRITICAL)
    warnings.simplefilter("ignore")
    cases = list(replies())
    port = serve(cases)
    rows, counts, families = [], {}, {}
    for number, case in enumerate(cases):
        sdk, shown, _ = sdk_says(port, number, case)
        ours, our_shown = we_say(case["want"])
        reason = why(sdk, ours, case["want"])
        counts[reason or "alike"] = counts.get(reason or "alike", 0) + 1
        family = FAMILIES.match(case["name"])
        key = (family.group(0), case["provider"], reason) if family else (case["name"],)
        families[key] = families.get(key, 0) + 1
        if families[key] == 1:
            rows.append((case["provider"], case["name"], shown, our_shown, reason or ""))
    versions = ", ".join(f"{package} {version(package)}" for package in SDKS.values())
    print("# Odd replies: the SDKs and the gateway\n")
    print_paragraph(
        f"What the vendors' own Python SDKs ({versions}) and the gateway make of the same bytes: "
        f"{len(cases)} replies that were seen, or are like some that were. "
        "`tests/standins/sdk_table.py` writes this page; the gateway's column is what a test of "
        "`host/ai` holds it to."
    )
    print("| difference | replies |\n|---|--:|")
    for reason, count in sorted(counts.items(), key=lambda item: -item[1]):
        print(f"| {reason} | {count} |")
    print()
    print_paragraph(
        "An SDK hands over what a server says; a gateway must know whether it is a reply. So most "
        "differences are of two kinds: the SDK refuses a whole reply for a field that nobody needs, "
        "or returns half of one and leaves it to its caller to compare the reason why it ended."
    )
    print_paragraph("One reply of each kind:")
    print("| protocol | reply | the SDK | the gateway | why they differ |\n|---|---|---|---|---|")
    for provider, name, sdk, ours, reason in rows:
        print(f"| {provider} | {short(name, 60)} | {sdk} | {ours} | {reason} |")


if __name__ == "__main__":
    sys.exit(main())

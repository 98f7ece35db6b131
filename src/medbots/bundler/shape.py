"""What a bot finds around it on the server: its vm context, narrowed to what every release has.

Medplum 5.1.3 gives `process` and node-fetch, later releases Node's own fetch and no `process`. A
bot that keeps to the intersection runs on both.
"""

from __future__ import annotations

MODULES = (
    "pg",
    "ioredis",
    "bullmq",
    "node-fetch",
    "axios",
    "@medplum/core",
    "@medplum/ccda",
    "jose",
    "zod",
    "uuid",
)
"""What `require` resolves on the server, besides Node's own modules."""

GLOBALS = (
    "console",
    "fetch",
    "require",
    "module",
    "exports",
    "ContentType",
    "Hl7Message",
    "MedplumClient",
    "TextDecoder",
    "TextEncoder",
    "URL",
    "URLSearchParams",
    "event",
)
"""What the server adds to the language's own globals."""

CURES = {
    "setTimeout": "import { setTimeout } from 'node:timers'",
    "clearTimeout": "import { clearTimeout } from 'node:timers'",
    "setInterval": "import { setInterval } from 'node:timers'",
    "clearInterval": "import { clearInterval } from 'node:timers'",
    "setImmediate": "import { setImmediate } from 'node:timers'",
    "queueMicrotask": "use Promise.resolve().then(…)",
    "Buffer": "import { Buffer } from 'node:buffer'",
    "Blob": "import { Blob } from 'node:buffer'",
    "atob": "import { atob } from 'node:buffer'",
    "btoa": "import { btoa } from 'node:buffer'",
    "AbortController": "import { transferableAbortController } from 'node:util'",
    "AbortSignal": "take the signal of transferableAbortController() from 'node:util'",
    "crypto": "import { webcrypto, randomUUID } from 'node:crypto'",
    "performance": "import { performance } from 'node:perf_hooks'",
    "structuredClone": "use JSON.parse(JSON.stringify(…)), or import from 'node:v8'",
    "Headers": "give fetch a plain object of headers",
    "Request": "give fetch an address and options",
    "Response": "use what fetch returns",
    "FormData": "build the body as text or bytes",
    "WebSocket": "a bot answers one event; it keeps no connection",
    "EventEmitter": "import { EventEmitter } from 'node:events'",
    "process": "it is the server's own, and later releases have none; settings are event.secrets",
    "global": "use globalThis",
    "window": "use globalThis",
    "self": "use globalThis",
    "__dirname": "a bot has no folder",
    "__filename": "a bot has no file",
}
"""For a global that Node has and the server lacks: what to write instead."""

import { randomUUID } from 'node:crypto';
import { BotFailure, errorName } from './failure.ts';
import { readRouterUrl } from './phi-route.ts';
import type { Secrets } from './secrets.ts';
import { pause, withTimeLimit } from './time-limit.ts';

/** What a call is for; the router may choose, count or log by it. */
export type ClinicTask =
  | 'embedding'
  | 'semantic_search'
  | 'rag_query'
  | 'clinical_decision'
  | 'documentation'
  | 'billing_codes'
  | 'health_check';

/** Where the model router is, and who calls. */
export interface RouterConfig {
  /** Base URL, as seen from inside the Medplum server; checked for patient data. */
  url: string;
  apiKey: string | undefined;
  clientId: string;
  /** Name of the calling bot. */
  botName: string;
}

/** How long to wait before the one retry, when the router does not say. */
const RETRY_PAUSE_MS = 250;
/** The longest wait that a router may ask for. */
const LONGEST_RETRY_PAUSE_MS = 2_000;

/** @throws BotFailure NOT_CONFIGURED or PHI_ROUTE_BLOCKED */
export function readRouterConfig(secrets: Secrets, botName: string): RouterConfig {
  return {
    url: readRouterUrl(secrets),
    apiKey: secrets.optional('LLM_API_KEY'),
    clientId: secrets.optional('LLM_CLIENT_ID') ?? 'medbots',
    botName,
  };
}

/**
 * Posts JSON to the router, once more on 429, 5xx or a network error.
 * @param path - Such as `/v1/embeddings`.
 * @param limitMs - Time limit of each of the two attempts.
 * @returns The answer's JSON.
 * @throws BotFailure TIMEOUT, LLM_ROUTER_ERROR. The answer's own words stay out of it: routers quote the input.
 */
export async function postToRouter(
  config: RouterConfig,
  task: ClinicTask,
  path: string,
  body: unknown,
  limitMs: number
): Promise<unknown> {
  const requestId = randomUUID();
  const first = await attempt(config, task, path, body, limitMs, requestId);
  if (!(first instanceof Retryable)) {
    return first.json;
  }
  await pause(first.pauseMs);
  const second = await attempt(config, task, path, body, limitMs, requestId);
  if (second instanceof Retryable) {
    throw new BotFailure('LLM_ROUTER_ERROR', `The model router ${second.reason}`, { requestId, ...second.details });
  }
  return second.json;
}

/** An attempt that a second one may mend. */
class Retryable {
  readonly reason: string;
  readonly details: Record<string, unknown>;
  readonly pauseMs: number;

  constructor(reason: string, details: Record<string, unknown>, pauseMs = RETRY_PAUSE_MS) {
    this.reason = reason;
    this.details = details;
    this.pauseMs = pauseMs;
  }
}

async function attempt(
  config: RouterConfig,
  task: ClinicTask,
  path: string,
  body: unknown,
  limitMs: number,
  requestId: string
): Promise<{ json: unknown } | Retryable> {
  const answer = await withTimeLimit('The call of the model router', limitMs, async (signal) => {
    try {
      const response = await fetch(config.url + path, {
        method: 'POST',
        headers: {
          'Content-Type': 'application/json',
          Accept: 'application/json',
          ...(config.apiKey === undefined ? {} : { Authorization: `Bearer ${config.apiKey}` }),
          'X-Client-Id': config.clientId,
          'X-Clinic-Task': task,
          'X-Bot-Name': config.botName,
          'X-Request-Id': requestId,
        },
        body: JSON.stringify(body),
        // A redirect would carry patient data to a host that nobody allowed.
        redirect: 'error',
        signal,
      });
      return { status: response.status, retryAfter: response.headers.get('retry-after'), text: await response.text() };
    } catch (error) {
      return new Retryable('could not be reached', { cause: networkCause(error) });
    }
  });
  if (answer instanceof Retryable) {
    return answer;
  }
  const { status } = answer;
  if (status === 429 || status >= 500) {
    return new Retryable(`answered HTTP ${status}`, { status }, retryPause(answer.retryAfter));
  }
  if (status !== 200) {
    const hint = status === 401 || status === 403 ? ': it refused the key of the project secret LLM_API_KEY' : '';
    throw new BotFailure('LLM_ROUTER_ERROR', `The model router answered HTTP ${status}${hint}`, { status, requestId });
  }
  try {
    return { json: JSON.parse(answer.text) as unknown };
  } catch {
    throw new BotFailure('LLM_ROUTER_ERROR', 'The model router answered something that is no JSON', { requestId });
  }
}

/** Milliseconds of a Retry-After in seconds, within bounds. */
function retryPause(retryAfter: string | null): number {
  const seconds = retryAfter === null ? Number.NaN : Number(retryAfter);
  return Number.isFinite(seconds) && seconds >= 0 ? Math.min(seconds * 1_000, LONGEST_RETRY_PAUSE_MS) : RETRY_PAUSE_MS;
}

/** The system's word for a failed connection, such as ECONNREFUSED; node-fetch and Node's fetch keep it apart. */
function networkCause(error: unknown): string {
  const { code, cause } = (error ?? {}) as { code?: unknown; cause?: { code?: unknown } };
  const word = code ?? cause?.code;
  return typeof word === 'string' && /^\w{1,60}$/.test(word) ? word : errorName(error);
}

/** Runs a bot's code in a context of its own, in the shape that the real server's `vmcontext` runtime gives it. */
import { ContentType, Hl7Message, MedplumClient, normalizeErrorString, normalizeOperationOutcome } from '@medplum/core';
import type { WithId } from '@medplum/core';
import type { Binary, Bot, ProjectSetting, Reference } from '@medplum/fhirtypes';
import { createReference } from '@medplum/core';
import fetch from 'node-fetch';
import { runInNewContext } from 'node:vm';
import type { App } from '../app.ts';
import { botRequire } from './modules.ts';

export interface BotRun {
  readonly bot: WithId<Bot>;
  readonly input: unknown;
  readonly contentType: string;
  readonly requester?: Reference;
  readonly secrets: Record<string, ProjectSetting>;
  readonly accessToken: string;
  readonly traceId?: string;
  readonly headers?: Record<string, string | string[] | undefined>;
  readonly defaultHeaders?: Record<string, string>;
}

export interface BotResult {
  readonly success: boolean;
  readonly log: string;
  readonly value?: unknown;
}

const DEFAULT_TIMEOUT_SECONDS = 10;

/** The only console a bot has: one method. */
class BotConsole {
  private readonly lines: string[] = [];

  log(...values: unknown[]): void {
    this.lines.push(values.join(' '));
  }

  toString(): string {
    return this.lines.join('\n');
  }
}

export async function runInVmContext(app: App, run: BotRun): Promise<BotResult> {
  const url = run.bot.executableCode?.url;
  if (!url) {
    return { success: false, log: 'No executable code' };
  }
  if (!url.startsWith('Binary/')) {
    return { success: false, log: 'Executable code is not a Binary' };
  }
  const binary = app.system.readReferenceNow<Binary>({ reference: url });
  const bytes = binary.data ? Buffer.from(binary.data, 'base64') : await app.binaries.read(binary);
  const console = new BotConsole();
  const sandbox = {
    console,
    fetch,
    require: botRequire,
    process,
    ContentType,
    Hl7Message,
    MedplumClient,
    TextDecoder,
    TextEncoder,
    URL,
    URLSearchParams,
    event: {
      bot: createReference(run.bot),
      baseUrl: app.baseUrl,
      accessToken: run.accessToken,
      requester: run.requester,
      input: run.input instanceof Hl7Message ? run.input.toString() : run.input,
      contentType: run.contentType,
      secrets: run.secrets,
      traceId: run.traceId,
      headers: run.headers,
      defaultHeaders: run.defaultHeaders,
    },
  };
  try {
    const timeout = (run.bot.timeout ?? DEFAULT_TIMEOUT_SECONDS) * 1000;
    const value: unknown = await runInNewContext(program(bytes.toString('utf8')), sandbox, { timeout });
    return { success: true, log: console.toString(), value };
  } catch (err) {
    console.log('Error', normalizeErrorString(err));
    return { success: false, log: console.toString(), value: normalizeOperationOutcome(err) };
  }
}

/**
 * The bot's code and its call, as one script. Nothing but a line break stands between the two: code whose
 * last statement lacks its semicolon runs on into the call and fails, as on the real server. The time
 * limit covers the synchronous part only; an asynchronous handler is not stopped.
 */
function program(code: string): string {
  return `
  const exports = {};
  const module = {exports};

  // Here the bot's own code begins.
  ${code}
  // Here the bot's own code ends.

  (async () => {
    const { bot, baseUrl, accessToken, requester, contentType, secrets, traceId, headers, defaultHeaders } = event;
    const medplum = new MedplumClient({
      baseUrl,
      defaultHeaders,
      fetch: (url, options = {}) =>
        fetch(url, { ...options, headers: { ...options.headers, 'X-Trace-Id': traceId, traceparent: traceId } }),
    });
    medplum.setAccessToken(accessToken);
    const isHl7 = contentType === ContentType.HL7_V2;
    try {
      const input = isHl7 && event.input ? Hl7Message.parse(event.input) : event.input;
      const result = await exports.handler(medplum, { bot, requester, input, contentType, secrets, traceId, headers });
      return isHl7 && result ? result.toString() : result;
    } catch (err) {
      if (err instanceof Error) {
        console.log('Unhandled error: ' + err.message + '\\n' + err.stack);
      } else if (typeof err === 'object') {
        console.log('Unhandled error: ' + JSON.stringify(err, undefined, 2));
      } else {
        console.log('Unhandled error: ' + err);
      }
      throw err;
    }
  })();
  `;
}

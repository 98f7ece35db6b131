/** Bot/$execute: by id or identifier, GET or POST, whatever the body is. */
import type { WithId } from '@medplum/core';
import {
  allOk,
  badRequest,
  ContentType,
  createReference,
  getStatus,
  isOk,
  isOperationOutcome,
  isResource,
  notFound,
  OperationOutcomeError,
} from '@medplum/core';
import type { Binary, Bot, OperationOutcome, Parameters, ProjectMembership } from '@medplum/fhirtypes';
import { membershipOf } from '../auth/directory.ts';
import { finishJob, startJob } from '../fhir/jobs.ts';
import type { Exchange } from '../http/exchange.ts';
import { sendFhir, sendJson, sendOutcome, sendText } from '../http/reply.ts';
import { runBot } from './run.ts';
import type { BotResult } from './vmContext.ts';

export async function execute(x: Exchange): Promise<void> {
  const bot = findBot(x);
  if (x.header('prefer') === 'respond-async') {
    await executeLater(x, bot);
    return;
  }
  await sendResult(x, await run(x, bot));
}

function findBot(x: Exchange): WithId<Bot> {
  const { repo } = x.authenticated();
  const { id } = x.params;
  x.quota?.read();
  if (id) {
    return x.app.system.readNow<Bot>('Bot', repo.readNow<Bot>('Bot', id).id);
  }
  const { identifier } = x.query;
  if (!identifier) {
    throw new OperationOutcomeError(badRequest('Must specify bot ID or identifier.'));
  }
  const found = repo.searchNow<Bot>({
    resourceType: 'Bot',
    filters: [{ code: 'identifier', operator: 'exact', value: identifier }],
    count: 1,
  })[0];
  if (!found) {
    throw new OperationOutcomeError(notFound);
  }
  return x.app.system.readNow<Bot>('Bot', found.id);
}

function run(x: Exchange, bot: WithId<Bot>): Promise<BotResult> {
  const { membership } = x.authenticated();
  return runBot(x.app, {
    bot,
    runAs: rightsOf(x, bot, membership),
    requester: membership.profile,
    input: x.method === 'POST' ? x.body : x.query,
    contentType: x.header('content-type') as string,
    headers: x.req.headers,
    traceId: x.trace.traceId,
    defaultHeaders: bot.runAsUser ? { Cookie: x.header('cookie') as string } : undefined,
  });
}

/** The bot's own membership; the caller's where it runs as the user, and where it has none. */
function rightsOf(x: Exchange, bot: WithId<Bot>, caller: WithId<ProjectMembership>): WithId<ProjectMembership> {
  return bot.runAsUser
    ? caller
    : (membershipOf(x.app, bot.meta?.project as string, createReference(bot).reference) ?? caller);
}

function bodyOf(result: BotResult): unknown {
  if (result.value === undefined) {
    return result.success ? allOk : badRequest(result.log);
  }
  return typeof result.value === 'number' ? result.value.toString() : result.value;
}

async function sendResult(x: Exchange, result: BotResult): Promise<void> {
  const body = bodyOf(result);
  if (isOperationOutcome(body) && !isOk(body)) {
    sendOutcome(x, body);
    return;
  }
  const outcome = result.success ? allOk : badRequest(result.log);
  if (isResource<Binary>(body, 'Binary')) {
    await sendFhir(x, outcome, body);
    return;
  }
  const status = getStatus(outcome);
  const mirrored = [ContentType.TEXT, ContentType.HL7_V2].find((type) => type === x.header('content-type'));
  if (typeof body === 'string') {
    sendText(x, status, body, `${mirrored ?? ContentType.JSON}; charset=utf-8`);
  } else if (body === null) {
    sendText(x, status, '', `${mirrored ?? ContentType.JSON}; charset=utf-8`);
  } else if (typeof body === 'function') {
    // Code without its last semicolon swallows the call, and leaves the handler itself as the value.
    throw new Error('The bot returned a function');
  } else {
    sendJson(x, status, body, mirrored ?? ContentType.JSON);
  }
}

/** Answers at once with a job that the result is put into. */
async function executeLater(x: Exchange, bot: WithId<Bot>): Promise<void> {
  const job = await startJob(x, `${x.app.baseUrl}${(x.req.url ?? '').slice(1)}`);
  sendOutcome(x, job.outcome);
  const body = bodyOf(await run(x, bot));
  const failed = isOperationOutcome(body) && !isOk(body);
  await finishJob(x.app, job.id, failed ? 'error' : 'completed', outputOf(body));
}

function outputOf(body: unknown): Parameters {
  if (isOperationOutcome(body)) {
    return { resourceType: 'Parameters', parameter: [{ name: 'outcome', resource: body as OperationOutcome }] };
  }
  const value =
    typeof body === 'boolean'
      ? { valueBoolean: body }
      : { valueString: typeof body === 'string' ? body : JSON.stringify(body) };
  return { resourceType: 'Parameters', parameter: [{ name: 'responseBody', ...value }] };
}

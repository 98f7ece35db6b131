/**
 * Embedding Bot: keeps a vector of every clinical record, for search by meaning.
 *
 * Runs on five subscriptions, and by `$execute {resourceType, id}` or
 * `{action: "backfill", resourceType, since?, limit?}`.
 */
import type { BotEvent, MedplumClient } from '@medplum/core';
import { backfill } from '../lib/backfill.ts';
import { withDatabase } from '../lib/database.ts';
import { readEmbeddingContract } from '../lib/embedding-contract.ts';
import { type Embedder, embedResource, removeResource } from '../lib/embed-resource.ts';
import { BotFailure, type FailureOutput } from '../lib/failure.ts';
import { readCurrent } from '../lib/fhir.ts';
import { Fields } from '../lib/fields.ts';
import { isUuid } from '../lib/ids.ts';
import type { BotInput } from '../lib/input.ts';
import { readProjectId } from '../lib/project.ts';
import { ServerSources } from '../lib/record-sources.ts';
import { EMBEDDED_TYPES, type EmbeddedResource, type EmbeddedType, isEmbedded } from '../lib/record/record-text.ts';
import { requireProfessional } from '../lib/requester.ts';
import { readRouterConfig } from '../lib/router.ts';
import { type BotRun, EMBEDDING_MODEL, runBot, type SuccessOutput } from '../lib/run.ts';

const BOT = {
  key: 'embedding',
  name: 'Embedding Bot',
  runsAsUser: false,
  unforeseen: 'EMBEDDING_ERROR',
  failureAudit: 'embedding_failure',
  model: EMBEDDING_MODEL,
} as const;

/** What the bot is to do. */
type Job =
  | { kind: 'resource'; resourceType: EmbeddedType; id: string; lastVersionId: string | undefined; deleted: boolean }
  | { kind: 'backfill'; resourceType: EmbeddedType; since: string | undefined; limit: number };

export async function handler(
  medplum: MedplumClient,
  event: BotEvent<unknown>
): Promise<SuccessOutput | FailureOutput> {
  return runBot(BOT, medplum, event, async (run, input) => {
    const job = readJob(input);
    if (job?.kind === 'backfill') {
      requireProfessional(run, 'start a backfill');
    }
    if (job === undefined) {
      // Another type than the five: a subscription's criteria were widened.
      return { embeddingsCreated: 0, chunksProcessed: 0, skipped: [{ reason: 'a type that is not embedded' }] };
    }
    if (job.kind === 'resource') {
      run.resource = `${job.resourceType}/${job.id}`;
    }
    const settings = {
      router: readRouterConfig(run.secrets, BOT.name),
      contract: readEmbeddingContract(run.secrets),
      limitMs: run.secrets.integer('EMBED_TIMEOUT_MS', 5_000, 100, 120_000),
      projectId: readProjectId(run.secrets),
      sources: new ServerSources(medplum),
    };
    return withDatabase(run.secrets, 'medbots embedding', async (database) => {
      const embedder = { ...settings, database };
      return job.kind === 'backfill'
        ? { ...(await backfill(medplum, embedder, job)) }
        : { ...(await synchronise(run, embedder, job)) };
    });
  });
}

/** The input names a resource, no more: what is embedded is read from the server again. */
function readJob(input: BotInput): Job | undefined {
  if (input.kind === 'command') {
    return readCommand(new Fields(input.fields));
  }
  const { resource } = input;
  if (!isEmbedded(resource)) {
    return undefined;
  }
  if (!isUuid(resource.id)) {
    throw new BotFailure('INVALID_INPUT', `The ${resource.resourceType} has no id, or one that is no UUID`);
  }
  return {
    kind: 'resource',
    resourceType: resource.resourceType,
    id: resource.id.toLowerCase(),
    // A claim like the rest of the input, and only noted.
    lastVersionId: isUuid(resource.meta?.versionId) ? resource.meta.versionId : undefined,
    deleted: input.kind === 'deleted',
  };
}

function readCommand(fields: Fields): Job {
  const action = fields.oneOf('action', ['backfill']);
  const resourceType = fields.present('resourceType', fields.oneOf('resourceType', EMBEDDED_TYPES));
  if (action === 'backfill') {
    const since = fields.instant('since');
    const limit = fields.integer('limit', 1, 1_000) ?? 100;
    fields.done();
    return { kind: 'backfill', resourceType, since, limit };
  }
  const id = fields.present('id', fields.id('id', resourceType));
  fields.done();
  return { kind: 'resource', resourceType, id, lastVersionId: undefined, deleted: false };
}

/** Brings the rows of one resource to what the server holds now. */
async function synchronise(run: BotRun, embedder: Embedder, job: Extract<Job, { kind: 'resource' }>) {
  // Taken before the read: no version made until now can be the current one if the read finds none.
  const readAt = new Date().toISOString();
  const current = await readCurrent<EmbeddedResource>(run.medplum, job.resourceType, job.id, 'EMBEDDING_ERROR');
  if (current.found) {
    return embedResource(embedder, current.found);
  }
  if (current.absent === 'unknown' && !job.deleted) {
    throw new BotFailure('INVALID_INPUT', `${job.resourceType}/${job.id} does not exist, or the bot may not read it`);
  }
  return removeResource(embedder, job.resourceType, job.id, job.lastVersionId, readAt);
}

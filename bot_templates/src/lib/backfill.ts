import type { MedplumClient } from '@medplum/core';
import type { Bundle } from '@medplum/fhirtypes';
import { type Embedder, embedResource } from './embed-resource.ts';
import { asFailure, type ErrorCode } from './failure.ts';
import { searchPage } from './fhir.ts';
import type { EmbeddedResource, EmbeddedType } from './record/record-text.ts';

/** Which resources to go through. */
export interface BackfillRange {
  resourceType: EmbeddedType;
  /** Only those updated at or after this instant. */
  since: string | undefined;
  /** At most so many. */
  limit: number;
}

/** What a backfill did. */
export interface BackfillOutput {
  resourceType: string;
  /** Resources looked at. */
  processed: number;
  embeddingsCreated: number;
  chunksProcessed: number;
  /** Resources whose rows were right already. */
  unchanged: number;
  failed: { id: string | undefined; errorCode: ErrorCode }[];
  /** Whether every resource of the range was looked at. */
  complete: boolean;
  /** Where to go on: `since` of the next call. */
  nextSince?: string;
}

const PAGE_SIZE = 50;
/** A run ends after this: a proxy would cut a longer call. The next run goes on from `nextSince`. */
const BUDGET_MS = 25_000;
/** Failures in a row after which something is down, and going on is pointless. */
const MOST_FAILURES_IN_A_ROW = 3;

/**
 * Embeds the resources of one type, oldest change first, page by page.
 *
 * Going through the same range again is cheap: what is embedded already needs no model call.
 */
export async function backfill(
  medplum: MedplumClient,
  embedder: Embedder,
  range: BackfillRange
): Promise<BackfillOutput> {
  const deadline = Date.now() + BUDGET_MS;
  const output: BackfillOutput = {
    resourceType: range.resourceType,
    processed: 0,
    embeddingsCreated: 0,
    chunksProcessed: 0,
    unchanged: 0,
    failed: [],
    complete: false,
  };
  let failuresInARow = 0;
  let query: string | undefined = firstQuery(range);
  while (query !== undefined) {
    const page: Bundle<EmbeddedResource> = await searchPage(medplum, range.resourceType, query, 'EMBEDDING_ERROR');
    for (const resource of (page.entry ?? []).map((entry) => entry.resource)) {
      if (resource === undefined) {
        continue;
      }
      const exhausted = output.processed === range.limit || Date.now() > deadline;
      if (exhausted || failuresInARow === MOST_FAILURES_IN_A_ROW) {
        return { ...output, ...(resource.meta?.lastUpdated ? { nextSince: resource.meta.lastUpdated } : {}) };
      }
      const succeeded = await embedOne(embedder, resource, output);
      failuresInARow = succeeded ? 0 : failuresInARow + 1;
    }
    query = nextQuery(page);
  }
  return { ...output, complete: true };
}

async function embedOne(embedder: Embedder, resource: EmbeddedResource, output: BackfillOutput): Promise<boolean> {
  output.processed += 1;
  try {
    const embedded = await embedResource(embedder, resource);
    output.embeddingsCreated += embedded.embeddingsCreated;
    output.chunksProcessed += embedded.chunksProcessed;
    output.unchanged += embedded.unchanged ? 1 : 0;
    return true;
  } catch (error) {
    output.failed.push({ id: resource.id, errorCode: asFailure(error, 'EMBEDDING_ERROR').code });
    return false;
  }
}

function firstQuery(range: BackfillRange): string {
  const since = range.since === undefined ? '' : `&_lastUpdated=ge${encodeURIComponent(range.since)}`;
  return `_sort=_lastUpdated&_count=${Math.min(PAGE_SIZE, range.limit + 1)}${since}`;
}

/** The search parameters of the next page; the link's host may be the server's public one, not the bot's. */
function nextQuery(page: Bundle): string | undefined {
  const link = page.link?.find(({ relation }) => relation === 'next')?.url;
  const mark = link?.indexOf('?') ?? -1;
  return link !== undefined && mark >= 0 ? link.slice(mark + 1) : undefined;
}

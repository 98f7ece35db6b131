import type { MedplumClient } from '@medplum/core';
import type { Bundle, OperationOutcome, Resource, ResourceType } from '@medplum/fhirtypes';
import { BotFailure, type ErrorCode, errorName } from './failure.ts';
import { withTimeLimit } from './time-limit.ts';

/** Time limit of one FHIR request, its retries by MedplumClient included. */
export const FHIR_LIMIT_MS = 5_000;

/** What the server says of an id. */
export type ReadResult<T extends Resource> = { found: T } | { found?: never; absent: 'deleted' | 'unknown' };

/**
 * Reads the current version of a resource, with the rights of the client.
 * @returns `absent: deleted` for HTTP 410; `unknown` for 404, which also hides what may not be read.
 * @throws BotFailure UNAUTHORIZED, TIMEOUT, or the given code for anything else.
 */
export async function readCurrent<T extends Resource>(
  medplum: MedplumClient,
  resourceType: T['resourceType'],
  id: string,
  otherwise: ErrorCode
): Promise<ReadResult<T>> {
  try {
    const found = await fhirRequest(
      `Reading ${resourceType}/${id}`,
      otherwise,
      (signal) =>
        medplum.readResource(resourceType as ResourceType, id, { signal, cache: 'reload' }) as unknown as Promise<T>
    );
    return { found };
  } catch (error) {
    const absent = error instanceof BotFailure ? error.details?.absent : undefined;
    if (absent === 'deleted' || absent === 'unknown') {
      return { absent };
    }
    throw error;
  }
}

/**
 * One page of a search.
 * @param query - Search parameters, such as `_id=…&_count=30`.
 */
export async function searchPage<T extends Resource>(
  medplum: MedplumClient,
  resourceType: T['resourceType'],
  query: string,
  otherwise: ErrorCode
): Promise<Bundle<T>> {
  return fhirRequest(
    `Searching ${resourceType}`,
    otherwise,
    (signal) =>
      medplum.search(resourceType as ResourceType, query, { signal, cache: 'reload' }) as unknown as Promise<Bundle<T>>
  );
}

/**
 * One FHIR request under the time limit.
 * @param what - Names the request in an error, without search values.
 * @throws BotFailure
 */
export async function fhirRequest<T>(
  what: string,
  otherwise: ErrorCode,
  request: (signal: AbortSignal) => Promise<T>,
  limitMs = FHIR_LIMIT_MS
): Promise<T> {
  return withTimeLimit(what, limitMs, async (signal) => {
    try {
      return await request(signal);
    } catch (error) {
      throw fhirFailure(what, error, otherwise);
    }
  });
}

/** An OperationOutcome's code only: its words may quote the record. */
function fhirFailure(what: string, error: unknown, otherwise: ErrorCode): BotFailure {
  const outcome = (error as { outcome?: OperationOutcome } | null | undefined)?.outcome;
  const code = outcome?.issue?.[0]?.code;
  switch (code) {
    case 'deleted':
      return new BotFailure(otherwise, `${what}: it is deleted`, { absent: 'deleted' });
    case 'not-found':
      return new BotFailure(otherwise, `${what}: it does not exist`, { absent: 'unknown' });
    case 'forbidden':
    case 'security':
    case 'login':
      return new BotFailure('UNAUTHORIZED', `${what}: not permitted`);
    default:
      // The server's own name for a version other than expected; its issue has no code that tells.
      return outcome?.id === 'precondition-failed'
        ? new BotFailure(otherwise, `${what}: it is at another version`, { outcome: outcome.id })
        : new BotFailure(otherwise, `${what} failed: ${code ?? errorName(error)}`);
  }
}

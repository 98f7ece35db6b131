/** The history of one resource as a Bundle, deletions included. */
import type { WithId } from '@medplum/core';
import { allOk, badRequest, DEFAULT_MAX_SEARCH_COUNT, getStatus, OperationOutcomeError } from '@medplum/core';
import type { ReadHistoryOptions } from '@medplum/fhir-router';
import type { Bundle, BundleEntry, OperationOutcome, Resource } from '@medplum/fhirtypes';
import { removeHiddenFields } from './permissions.ts';
import type { Reader } from './reader.ts';

const DEFAULT_COUNT = 100;
const MAX_OFFSET = 10_000;

export function historyBundle<T extends Resource>(
  repo: Reader,
  type: string,
  id: string,
  options?: ReadHistoryOptions
): Bundle<WithId<T>> {
  if (options?.offset !== undefined && options.offset > MAX_OFFSET) {
    throw new OperationOutcomeError(
      badRequest(`Search offset exceeds maximum (got ${options.offset}, max ${MAX_OFFSET})`)
    );
  }
  const limit = Math.max(0, Math.min(options?.limit ?? DEFAULT_COUNT, DEFAULT_MAX_SEARCH_COUNT));
  const { rows, total } = repo.app.store.history(type, id, limit, Math.max(0, options?.offset ?? 0));
  const entry = rows.map((row): BundleEntry<WithId<T>> => {
    const outcome = row.json ? allOk : deletedOutcome(row.lastUpdated);
    return {
      fullUrl: `${repo.app.baseUrl}fhir/R4/${type}/${id}`,
      request: { method: 'GET', url: `${type}/${id}/_history/${row.versionId}` },
      response: { status: getStatus(outcome).toString(), outcome },
      resource: row.json ? removeHiddenFields(repo.context, JSON.parse(row.json) as WithId<T>) : undefined,
    };
  });
  return { resourceType: 'Bundle', type: 'history', entry, total };
}

function deletedOutcome(when: string): OperationOutcome {
  return {
    resourceType: 'OperationOutcome',
    id: 'gone',
    issue: [{ severity: 'error', code: 'deleted', details: { text: `Deleted on ${new Date(when)}` } }],
  };
}

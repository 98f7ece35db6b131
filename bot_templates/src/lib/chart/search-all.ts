import type { Bundle } from '@medplum/fhirtypes';
import { BotFailure, type ErrorCode } from '../failure.ts';
import { fhirRequest } from '../fhir.ts';
import type { BotRun } from '../run.ts';

/** What one search of several found: a page, or that the run may not read the type. */
export type Page = Bundle | 'unreadable';

/**
 * Runs several searches in one request, with the rights of the run.
 * @param what - Names the request in an error, without search values.
 * @param searches - Such as `Condition?subject=Patient/…&_count=200`.
 * @returns A page for each search, in order.
 * @throws BotFailure the given code, or TIMEOUT
 */
export async function searchAll(
  run: BotRun,
  what: string,
  searches: readonly string[],
  otherwise: ErrorCode
): Promise<Page[]> {
  const batch: Bundle = {
    resourceType: 'Bundle',
    type: 'batch',
    entry: searches.map((url) => ({ request: { method: 'GET', url } })),
  };
  const answer = await fhirRequest(what, otherwise, (signal) => run.medplum.executeBatch(batch, { signal }));
  return searches.map((search, index) => {
    const entry = answer.entry?.[index];
    if (entry?.resource?.resourceType === 'Bundle') {
      return entry.resource;
    }
    const status = entry?.response?.status;
    if (status === '403' || status === '401') {
      return 'unreadable';
    }
    throw new BotFailure(otherwise, `Searching ${search.split('?')[0]} failed: ${status ?? 'no answer'}`);
  });
}

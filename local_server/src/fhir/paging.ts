/** The links of a search bundle, and the cursor that some of them carry. */
import type { SearchRequest } from '@medplum/core';
import { formatSearchQuery, OperationOutcomeError, serverError } from '@medplum/core';
import type { BundleEntry, BundleLink } from '@medplum/fhirtypes';
import type { Entry } from '../store/store.ts';

/** From this page size on, a search by ascending _lastUpdated is paged by cursor. */
const MIN_CURSOR_COUNT = 20;

export type Paged = SearchRequest & { count: number; offset: number };

export function links(baseUrl: string, request: Paged, entries: BundleEntry[], next: Entry | undefined): BundleLink[] {
  const url = (r: SearchRequest): string => `${baseUrl}fhir/R4/${r.resourceType}${formatSearchQuery(r)}`;
  const result: BundleLink[] = [{ relation: 'self', url: url(request) }];
  if (request.count === 0 || entries.length === 0) {
    return result;
  }
  const [rule, ...others] = request.sortRules ?? [];
  const byCursor =
    request.offset === 0 &&
    request.count >= MIN_CURSOR_COUNT &&
    others.length === 0 &&
    rule?.code === '_lastUpdated' &&
    !rule.descending;
  result.push({ relation: 'first', url: url(byCursor ? { ...request, cursor: undefined, offset: undefined } : { ...request, offset: 0 }) });
  if (byCursor && next) {
    if (entries[0]?.resource?.meta?.lastUpdated === next.lastUpdated) {
      throw new OperationOutcomeError(serverError(new Error('Cursor fails to make progress')));
    }
    const excluded = entries.flatMap((e) =>
      e.resource?.meta?.lastUpdated === next.lastUpdated ? [e.resource.id as string] : []
    );
    const cursor = [`2-${Date.parse(next.lastUpdated)}`, ...(excluded.length ? [excluded.join(',')] : [])].join('-');
    result.push({ relation: 'next', url: url({ ...request, cursor, offset: undefined }) });
  } else if (next) {
    result.push({ relation: 'next', url: url({ ...request, offset: request.offset + request.count }) });
  }
  if (!byCursor && request.offset > 0) {
    result.push({ relation: 'previous', url: url({ ...request, offset: request.offset - request.count }) });
  }
  return result;
}

/** `2-<ms>-<id>,<id>`: from that instant on, without those already given. Ids hold dashes of their own. */
export function parseCursor(cursor: string): { instant: string; excluded: Set<string> } | undefined {
  const match = /^[12]-(\d+)(?:-(.*))?$/.exec(cursor);
  return match
    ? { instant: new Date(Number(match[1])).toISOString(), excluded: new Set(match[2]?.split(',') ?? []) }
    : undefined;
}

/** Search: what matches and may be seen, in order, page by page. */
import type { Filter, SearchRequest, WithId } from '@medplum/core';
import {
  badRequest,
  DEFAULT_MAX_SEARCH_COUNT,
  DEFAULT_SEARCH_COUNT,
  forbidden,
  getDataType,
  OperationOutcomeError,
  subsetResource,
  validateResourceType,
} from '@medplum/core';
import type { Bundle, BundleEntry, Resource } from '@medplum/fhirtypes';
import type { CellValue } from '../store/column.ts';
import type { Entry } from '../store/store.ts';
import type { Condition } from './filters.ts';
import { condition } from './filters.ts';
import { addIncludes } from './includes.ts';
import type { Paged } from './paging.ts';
import { links, parseCursor } from './paging.ts';
import { removeHiddenFields, supportsInteraction } from './permissions.ts';
import type { Reader } from './reader.ts';
import { visibility } from './visibility.ts';

const MAX_OFFSET = 10_000;

export function search<T extends Resource>(repo: Reader, given: SearchRequest): Bundle<WithId<T>> {
  const request: Paged = {
    ...given,
    count: Math.min(given.count ?? DEFAULT_SEARCH_COUNT, DEFAULT_MAX_SEARCH_COUNT),
    offset: given.offset ?? 0,
  };
  for (const type of request.types ?? [request.resourceType]) {
    validateType(repo, type);
  }
  if (request.offset > MAX_OFFSET) {
    throw new OperationOutcomeError(
      badRequest(`Search offset exceeds maximum (got ${request.offset}, max ${MAX_OFFSET})`)
    );
  }
  const found = sorted(repo, request, find(repo, request));
  let entry: BundleEntry<WithId<T>>[] | undefined;
  let next: Entry | undefined;
  if (request.count > 0) {
    const page = found.slice(request.offset, request.offset + request.count + 1);
    next = page.length > request.count ? page.pop() : undefined;
    entry = page.map((e) => bundleEntry<T>(repo, e, 'match'));
    addIncludes(repo, request, entry);
    for (const e of entry) {
      selectFields(repo, request, e.resource as Resource);
    }
  }
  const counted = request.total === 'accurate' || request.total === 'estimate';
  return {
    resourceType: 'Bundle',
    type: 'searchset',
    entry,
    total: counted ? found.length : undefined,
    link: links(repo.app.baseUrl, request, entry ?? [], next),
  };
}

function validateType(repo: Reader, type: string): void {
  validateResourceType(type);
  if (type === 'Binary') {
    throw new OperationOutcomeError(badRequest('Cannot search on Binary resource type'));
  }
  if (!supportsInteraction(repo.context, 'search', type)) {
    throw new OperationOutcomeError(forbidden);
  }
}

/** Everything that matches and may be seen, unordered and unpaged. */
function find(repo: Reader, request: Paged): Entry[] {
  const result: Entry[] = [];
  const cursor = request.cursor ? parseCursor(request.cursor) : undefined;
  if (cursor && request.offset > 0) {
    throw new OperationOutcomeError(badRequest('Cannot use both offset and cursor'));
  }
  for (const type of request.types ?? [request.resourceType]) {
    const withDeleted = request.filters?.some((f) => f.code === '_deleted') ?? false;
    const conditions = (request.filters ?? []).map((f: Filter) => condition(repo.app.store, type, f));
    const visible = visibility(repo, type);
    for (const entry of candidates(repo, type, conditions)) {
      if (
        (withDeleted || !entry.deleted) &&
        conditions.every((c) => c.test(entry)) &&
        visible(entry) &&
        (!cursor || (entry.lastUpdated >= cursor.instant && !cursor.excluded.has(entry.id)))
      ) {
        result.push(entry);
      }
    }
  }
  return result;
}

function* candidates(repo: Reader, type: string, conditions: Condition[]): Iterable<Entry> {
  const entries = repo.app.store.entries(type);
  const sets = conditions.flatMap((c) => (c.ids ? [c.ids] : []));
  const smallest = sets.reduce<ReadonlySet<string> | undefined>((a, b) => (a && a.size <= b.size ? a : b), undefined);
  if (!smallest) {
    yield* entries.values();
    return;
  }
  const found = [...smallest].flatMap((id) => entries.get(id) ?? []);
  yield* found.sort((a, b) => a.seq - b.seq);
}

function sorted(repo: Reader, request: Paged, found: Entry[]): Entry[] {
  const rules = [...(request.sortRules ?? [])];
  if (request.cursor && rules.length === 0) {
    rules.push({ code: '_lastUpdated' });
  }
  if (rules.length === 0) {
    return found;
  }
  const keys = rules.map((rule) => ({ of: sortKey(repo, request.resourceType, rule.code), sign: rule.descending ? -1 : 1 }));
  return found.sort((a, b) => {
    for (const { of, sign } of keys) {
      const order = compare(of(a), of(b)) * sign;
      if (order !== 0) {
        return order;
      }
    }
    return 0;
  });
}

function sortKey(repo: Reader, type: string, code: string): (entry: Entry) => CellValue | undefined {
  if (code === '_id') {
    return (e) => e.id;
  }
  if (code === '_lastUpdated') {
    return (e) => e.lastUpdated;
  }
  const column = repo.app.store.column(type, code);
  if (!column) {
    throw new OperationOutcomeError(badRequest(`Unknown search parameter: ${code}`));
  }
  return (e) => column.cell(e.id).sort;
}

/** Absent values come last when ascending and first when descending, as in Postgres. */
function compare(a: CellValue | undefined, b: CellValue | undefined): number {
  if (a === undefined || b === undefined) {
    return a === b ? 0 : a === undefined ? 1 : -1;
  }
  return typeof a === 'string' ? a.localeCompare(String(b)) : Number(a) - Number(b);
}

function bundleEntry<T extends Resource>(repo: Reader, entry: Entry, mode: 'match' | 'include'): BundleEntry<WithId<T>> {
  const resource = entry.json
    ? (JSON.parse(entry.json) as WithId<T>)
    : ({ resourceType: entry.type, id: entry.id, meta: { lastUpdated: entry.lastUpdated } } as WithId<T>);
  return { fullUrl: fullUrl(repo, resource), search: { mode }, resource };
}

function fullUrl(repo: Reader, resource: Resource): string {
  return `${repo.app.baseUrl}fhir/R4/${resource.resourceType}/${resource.id}`;
}

function selectFields(repo: Reader, request: Paged, resource: Resource): void {
  removeHiddenFields(repo.context, resource);
  const schema = getDataType(resource.resourceType);
  const mandatory = [...(schema.mandatoryProperties ?? [])];
  if (request.fields) {
    subsetResource(resource, [...mandatory, ...request.fields]);
  } else if (request.summary === 'data') {
    subsetResource(resource, Object.keys(resource).filter((key) => key !== 'text'));
  } else if (request.summary === 'text') {
    subsetResource(resource, ['text', ...mandatory]);
  } else if (request.summary === 'true') {
    subsetResource(resource, [...(schema.summaryProperties ?? [])]);
  }
}

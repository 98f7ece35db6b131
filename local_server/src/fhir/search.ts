/** Search: filters, order, paging, includes, links; visible is what project and access policy allow. */
import type { Filter, IncludeTarget, SearchRequest, WithId } from '@medplum/core';
import {
  badRequest,
  DEFAULT_MAX_SEARCH_COUNT,
  DEFAULT_SEARCH_COUNT,
  evalFhirPathTyped,
  forbidden,
  formatSearchQuery,
  getDataType,
  getReferenceString,
  getSearchParameter,
  isResource,
  OperationOutcomeError,
  parseSearchRequest,
  PropertyType,
  serverError,
  subsetResource,
  toTypedValue,
  validateResourceType,
} from '@medplum/core';
import type { Bundle, BundleEntry, BundleLink, Reference, Resource, ResourceType } from '@medplum/fhirtypes';
import type { CellValue } from '../store/column.ts';
import type { Entry } from '../store/store.ts';
import type { Condition } from './filters.ts';
import { condition } from './filters.ts';
import { inReadableProject, removeHiddenFields, supportsInteraction } from './permissions.ts';
import type { Repository } from './repository.ts';

const MAX_OFFSET = 10_000;
/** From this page size on, a search by ascending _lastUpdated is paged by cursor. */
const MIN_CURSOR_COUNT = 20;
const MAX_INCLUDE_DEPTH = 5;

type Paged = SearchRequest & { count: number; offset: number };

export function search<T extends Resource>(repo: Repository, given: SearchRequest): Bundle<WithId<T>> {
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
    link: links(repo, request, entry ?? [], next),
  };
}

function validateType(repo: Repository, type: string): void {
  validateResourceType(type);
  if (type === 'Binary') {
    throw new OperationOutcomeError(badRequest('Cannot search on Binary resource type'));
  }
  if (!supportsInteraction(repo.context, 'search', type)) {
    throw new OperationOutcomeError(forbidden);
  }
}

/** Everything that matches and may be seen, unordered and unpaged. */
function find(repo: Repository, request: Paged): Entry[] {
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

function* candidates(repo: Repository, type: string, conditions: Condition[]): Iterable<Entry> {
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

/** The project and access policy part of a search, compiled once for a type. */
export function visibility(
  repo: Repository,
  type: string,
  interaction: 'search' | 'read' = 'search'
): (entry: Entry) => boolean {
  const { context } = repo;
  const inProject = (e: Entry): boolean => inReadableProject(context, e.project);
  const policies = context.accessPolicy?.resource;
  if (!policies || type === 'Binary') {
    return inProject;
  }
  const tests: ((entry: Entry) => boolean)[] = [];
  for (const policy of policies) {
    const applies = policy.resourceType === type || policy.resourceType === '*';
    if (!applies || (policy.interaction && !policy.interaction.includes(interaction))) {
      continue;
    }
    const compartment = policy.compartment?.reference?.split('/').pop();
    if (compartment) {
      tests.push(condition(repo.app.store, type, { code: '_compartment', operator: 'eq', value: compartment }).test);
    } else if (policy.criteria) {
      if (!policy.criteria.startsWith(`${policy.resourceType}?`)) {
        return inProject; // The real server ignores the whole policy when one criteria is malformed.
      }
      const criteria = `${type}?${policy.criteria.slice(policy.criteria.indexOf('?') + 1)}`;
      const conditions = (parseSearchRequest(criteria).filters ?? []).map((f) => condition(repo.app.store, type, f));
      tests.push((entry) => conditions.every((c) => c.test(entry)));
    } else {
      return inProject;
    }
  }
  return tests.length ? (e) => inProject(e) && tests.some((test) => test(e)) : inProject;
}

function sorted(repo: Repository, request: Paged, found: Entry[]): Entry[] {
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

function sortKey(repo: Repository, type: string, code: string): (entry: Entry) => CellValue | undefined {
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

function bundleEntry<T extends Resource>(repo: Repository, entry: Entry, mode: 'match' | 'include'): BundleEntry<WithId<T>> {
  const resource = entry.json
    ? (JSON.parse(entry.json) as WithId<T>)
    : ({ resourceType: entry.type, id: entry.id, meta: { lastUpdated: entry.lastUpdated } } as WithId<T>);
  return { fullUrl: fullUrl(repo, resource), search: { mode }, resource };
}

function fullUrl(repo: Repository, resource: Resource): string {
  return `${repo.app.baseUrl}fhir/R4/${resource.resourceType}/${resource.id}`;
}

function selectFields(repo: Repository, request: Paged, resource: Resource): void {
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

function addIncludes(repo: Repository, request: Paged, entries: BundleEntry[]): void {
  if (!request.include && !request.revInclude) {
    return;
  }
  const seen = new Set(entries.map((e) => getReferenceString(e.resource as WithId<Resource>)));
  let base = entries.map((e) => e.resource as WithId<Resource>);
  for (let depth = 0; base.length > 0; depth++) {
    if (depth >= MAX_INCLUDE_DEPTH || entries.length > DEFAULT_MAX_SEARCH_COUNT) {
      throw new Error(
        `Search with _(rev)include reached query scope limit: depth=${depth}, results=${entries.length}`
      );
    }
    const again = (target: IncludeTarget): boolean => depth === 0 || target.modifier === 'iterate';
    const included = [
      ...(request.include ?? []).filter(again).flatMap((target) => forwards(repo, target, base)),
      ...(request.revInclude ?? []).filter(again).flatMap((target) => backwards(repo, target, base)),
    ];
    base = included;
    for (const resource of included) {
      const reference = getReferenceString(resource);
      if (!seen.has(reference)) {
        seen.add(reference);
        entries.push({ fullUrl: fullUrl(repo, resource), search: { mode: 'include' }, resource });
      }
    }
  }
}

function includeParameter(target: IncludeTarget): { expression: string; target?: readonly string[] } {
  const parameter = getSearchParameter(target.resourceType, target.searchParam);
  if (!parameter?.expression) {
    throw new OperationOutcomeError(
      badRequest(`Invalid include parameter: ${target.resourceType}:${target.searchParam}`)
    );
  }
  return { expression: parameter.expression, target: parameter.target };
}

function forwards(repo: Repository, target: IncludeTarget, base: Resource[]): WithId<Resource>[] {
  const parameter = includeParameter(target);
  const result: WithId<Resource>[] = [];
  const canonicals: string[] = [];
  for (const { type, value } of evalFhirPathTyped(parameter.expression, base.map(toTypedValue))) {
    if (type === PropertyType.Reference) {
      const resource = repo.tryRead((value as Reference).reference);
      if (isResource(resource)) {
        result.push(resource as WithId<Resource>);
      }
    } else if (type === PropertyType.canonical || type === PropertyType.uri) {
      canonicals.push(value as string);
    }
  }
  for (const type of canonicals.length ? (parameter.target ?? []) : []) {
    result.push(...matching(repo, type, 'url', canonicals.join(',')));
  }
  return result;
}

function backwards(repo: Repository, target: IncludeTarget, base: WithId<Resource>[]): WithId<Resource>[] {
  includeParameter(target);
  const values = base.map((resource) => getReferenceString(resource)).join(',');
  return matching(repo, target.resourceType, target.searchParam, values);
}

function matching(repo: Repository, type: string, code: string, value: string): WithId<Resource>[] {
  const bundle = search(repo, {
    resourceType: type as ResourceType,
    filters: [{ code, operator: 'eq', value }],
    count: DEFAULT_MAX_SEARCH_COUNT,
  });
  return (bundle.entry ?? []).map((e) => e.resource as WithId<Resource>);
}

function links(repo: Repository, request: Paged, entries: BundleEntry[], next: Entry | undefined): BundleLink[] {
  const url = (r: SearchRequest): string => `${repo.app.baseUrl}fhir/R4/${r.resourceType}${formatSearchQuery(r)}`;
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
function parseCursor(cursor: string): { instant: string; excluded: Set<string> } | undefined {
  const match = /^[12]-(\d+)(?:-(.*))?$/.exec(cursor);
  return match
    ? { instant: new Date(Number(match[1])).toISOString(), excluded: new Set(match[2]?.split(',') ?? []) }
    : undefined;
}

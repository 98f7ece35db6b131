/** _include and _revinclude: what search results point at, and what points at them. */
import type { IncludeTarget, SearchRequest, WithId } from '@medplum/core';
import {
  badRequest,
  DEFAULT_MAX_SEARCH_COUNT,
  evalFhirPathTyped,
  getReferenceString,
  getSearchParameter,
  isResource,
  OperationOutcomeError,
  PropertyType,
  toTypedValue,
} from '@medplum/core';
import type { BundleEntry, Reference, Resource, ResourceType } from '@medplum/fhirtypes';
import type { Reader } from './reader.ts';

const MAX_INCLUDE_DEPTH = 5;

/** Adds to the entries, in place. */
export function addIncludes(repo: Reader, request: SearchRequest, entries: BundleEntry[]): void {
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
        entries.push({ fullUrl: `${repo.app.baseUrl}fhir/R4/${reference}`, search: { mode: 'include' }, resource });
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

function forwards(repo: Reader, target: IncludeTarget, base: Resource[]): WithId<Resource>[] {
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

function backwards(repo: Reader, target: IncludeTarget, base: WithId<Resource>[]): WithId<Resource>[] {
  includeParameter(target);
  const values = base.map((resource) => getReferenceString(resource)).join(',');
  return matching(repo, target.resourceType, target.searchParam, values);
}

function matching(repo: Reader, type: string, code: string, value: string): WithId<Resource>[] {
  return repo.searchNow({
    resourceType: type as ResourceType,
    filters: [{ code, operator: 'eq', value }],
    count: DEFAULT_MAX_SEARCH_COUNT,
  });
}

/** References that a write resolves (`Patient?identifier=…`) or checks. */
import type { SearchRequest, WithId } from '@medplum/core';
import { badRequest, createReference, normalizeErrorString, OperationOutcomeError, parseSearchRequest } from '@medplum/core';
import type { OperationOutcomeIssue, Reference, Resource } from '@medplum/fhirtypes';

type Visit = (holder: Record<string, unknown>, path: string) => void;

/** Calls back for each object that looks like a Reference. */
function eachReference(value: unknown, path: string, visit: Visit): void {
  if (Array.isArray(value)) {
    value.forEach((item, i) => eachReference(item, `${path}[${i}]`, visit));
  } else if (typeof value === 'object' && value !== null) {
    const holder = value as Record<string, unknown>;
    if (typeof holder.reference === 'string') {
      visit(holder, path);
    }
    for (const [key, child] of Object.entries(holder)) {
      if (key !== 'meta' && key !== 'contained') {
        eachReference(child, `${path}.${key}`, visit);
      }
    }
  }
}

/** Replaces, in place, each conditional reference by the one resource that it names. */
export function replaceConditionalReferences(
  resource: Resource,
  find: (request: SearchRequest) => WithId<Resource>[]
): void {
  eachReference(resource, resource.resourceType, (holder, path) => {
    const conditional = holder.reference as string;
    if (!conditional.includes('?')) {
      return;
    }
    const matches = find({ ...parseSearchRequest(conditional), sortRules: undefined, count: 2 });
    if (matches.length !== 1) {
      const problem = matches.length ? 'matched multiple' : 'did not match any';
      throw new OperationOutcomeError(badRequest(`Conditional reference '${conditional}' ${problem} resources`, path));
    }
    delete holder.display;
    Object.assign(holder, createReference(matches[0] as WithId<Resource>));
  });
}

/** @throws OperationOutcomeError with an issue for each reference that leads nowhere. */
export function checkReferences(resource: Resource, read: (reference: Reference) => Resource | Error): void {
  const issues: OperationOutcomeIssue[] = [];
  eachReference(resource, resource.resourceType, (holder, path) => {
    const reference = holder.reference as string;
    if (reference.startsWith('%') || reference.startsWith('#')) {
      return;
    }
    const found = read(holder as Reference);
    if (found instanceof Error) {
      issues.push({
        severity: 'error',
        code: 'structure',
        details: { text: `Invalid reference (${normalizeErrorString(found)})` },
        expression: [path],
      });
    }
  });
  if (issues.length) {
    throw new OperationOutcomeError({ resourceType: 'OperationOutcome', issue: issues });
  }
}

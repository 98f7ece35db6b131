/** Which entries of a type a user sees: by project, then by access policy. */
import { parseSearchRequest } from '@medplum/core';
import type { Entry } from '../store/store.ts';
import { condition } from './filters.ts';
import { inReadableProject } from './permissions.ts';
import type { Reader } from './reader.ts';

/** A test, compiled once for a search or read of the type. */
export function visibility(
  repo: Reader,
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

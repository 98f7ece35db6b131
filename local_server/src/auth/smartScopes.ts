/** SMART scopes (`user/Patient.rs`, `patient/*.read`) narrow the access policy of a login. */
import { deepClone } from '@medplum/core';
import type { AccessPolicyResource } from '@medplum/fhirtypes';
import type { MergedPolicy } from './accessPolicy.ts';

interface SmartScope {
  readonly resourceType: string;
  /** Letters of `cruds`. */
  readonly rights: string;
  readonly criteria?: string;
}

const FORMAT = /^(patient|user|system)\/(\w+|\*)\.(\*|c?r?u?d?s?|read|write)$/;
const V1_RIGHTS: Record<string, string> = { '*': 'cruds', read: 'rs', write: 'cud' };

export function applySmartScopes(policy: MergedPolicy, scope: string | undefined): MergedPolicy {
  const scopes = (scope ?? '').split(' ').flatMap(parse);
  if (scopes.length === 0) {
    return policy;
  }
  const resource = policy.resource.flatMap((entry) => {
    const own = scopes.find((s) => s.resourceType === entry.resourceType) ?? scopes.find((s) => s.resourceType === '*');
    if (own) {
      return [narrowed(entry, own)];
    }
    return entry.resourceType === '*'
      ? scopes.map((s) => ({ ...narrowed(entry, s), resourceType: s.resourceType }))
      : [];
  });
  return { ...policy, resource };
}

function parse(term: string): SmartScope[] {
  const [base = '', criteria] = term.split(/\?(.*)/, 2);
  const match = FORMAT.exec(base);
  return match?.[2] && match[3]
    ? [{ resourceType: match[2], rights: V1_RIGHTS[match[3]] ?? match[3], criteria }]
    : [];
}

function narrowed(entry: AccessPolicyResource, scope: SmartScope): AccessPolicyResource {
  const result = deepClone(entry);
  if (result.criteria?.startsWith('*') && scope.resourceType !== '*') {
    result.criteria = result.criteria.replace('*', scope.resourceType);
  }
  if (/^[rs]+$/.test(scope.rights)) {
    result.readonly = true;
  }
  if (scope.criteria) {
    const before = result.criteria ? `${result.criteria}${result.criteria.endsWith('&') ? '' : '&'}` : `${scope.resourceType}?`;
    result.criteria = before + scope.criteria;
  }
  return result;
}

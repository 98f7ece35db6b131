/** The access policy that a membership comes to: its policies, merged, and what administrators may do besides. */
import { badRequest, deepClone, OperationOutcomeError, projectAdminResourceTypes, resolveId } from '@medplum/core';
import type { AccessPolicy, AccessPolicyResource, Project, ProjectMembership, ProjectMembershipAccess } from '@medplum/fhirtypes';
import type { App } from '../app.ts';
import type { AuthState } from '../http/exchange.ts';
import { applySmartScopes } from './smartScopes.ts';

export type MergedPolicy = AccessPolicy & { resource: AccessPolicyResource[] };

/** The types that only explicit entries open, and only to administrators. */
const ADMIN_TYPES = ['UserSecurityRequest', 'Project', 'ProjectMembership', 'User'];

/**
 * The policy as the matcher of @medplum/core must see it. Later releases of core than the one that this
 * server stands in for take more types out of `*` (AccessPolicy among them); they are put back here.
 */
export function effectivePolicy(app: App, auth: AuthState): MergedPolicy {
  const policy = accessPolicyFor(app, auth);
  const wild = policy.resource.filter((r) => r.resourceType === '*');
  const others = projectAdminResourceTypes.filter((type) => !ADMIN_TYPES.includes(type));
  const restored = others.flatMap((resourceType) =>
    wild.map((entry) => ({
      ...deepClone(entry),
      resourceType,
      criteria: entry.criteria?.replace(/^\*/, resourceType),
    }))
  );
  return { ...policy, resource: [...policy.resource, ...restored] };
}

export function accessPolicyFor(app: App, auth: AuthState): MergedPolicy {
  const membership = auth.onBehalfOfMembership ?? auth.membership;
  const merged = applySmartScopes(mergedPolicy(app, membership), auth.login.scope);
  return withAdminRights(merged, auth.project, membership);
}

/** @throws OperationOutcomeError when a policy cannot be read */
export function mergedPolicy(app: App, membership: ProjectMembership): MergedPolicy {
  const access: ProjectMembershipAccess[] = [
    ...(membership.accessPolicy ? [{ policy: membership.accessPolicy }] : []),
    ...(membership.access ?? []),
  ];
  const merged: MergedPolicy = {
    resourceType: 'AccessPolicy',
    basedOn: access.map((a) => a.policy),
    resource: [],
  };
  for (const entry of access) {
    const policy = filledIn(app, entry, membership);
    merged.compartment = policy.compartment ?? merged.compartment;
    for (const resource of policy.resource ?? []) {
      if (!resource.interaction && resource.readonly) {
        resource.interaction = ['search', 'read', 'history', 'vread'];
      }
      merged.resource.push(resource);
    }
    if (policy.ipAccessRule) {
      merged.ipAccessRule = [...(merged.ipAccessRule ?? []), ...policy.ipAccessRule];
    }
  }
  if (access.length === 0) {
    // No policy means every right; the real server keeps this for memberships of old.
    merged.resource.push({ resourceType: '*' });
  }
  for (const resourceType of ['SearchParameter', 'StructureDefinition']) {
    if (!merged.resource.some((r) => r.resourceType === resourceType)) {
      merged.resource.push({ resourceType, readonly: true });
    }
  }
  return merged;
}

/** The policy with `%profile`, `%patient` and its own parameters put in. */
function filledIn(app: App, access: ProjectMembershipAccess, membership: ProjectMembership): AccessPolicy {
  let json: string;
  try {
    json = JSON.stringify(app.system.readReferenceNow(access.policy));
  } catch {
    throw new OperationOutcomeError(
      badRequest(
        'Cannot authenticate: Invalid access policy configuration. Please contact your administrator to update your project membership.'
      )
    );
  }
  const parameters = [...(access.parameter ?? []), { name: 'profile', valueReference: membership.profile, valueString: undefined }];
  if (!parameters.some((p) => p.name === 'patient')) {
    parameters.push({ name: 'patient', valueReference: membership.profile, valueString: undefined });
  }
  for (const { name, valueString, valueReference } of parameters) {
    if (valueString) {
      json = json.replaceAll(`%${name}`, valueString);
    } else if (valueReference) {
      json = json.replaceAll(`%${name}.id`, resolveId(valueReference) as string);
      json = json.replaceAll(`%${name}`, valueReference.reference as string);
    }
  }
  return JSON.parse(json) as AccessPolicy;
}

function withAdminRights(policy: MergedPolicy, project: Project, membership: ProjectMembership): MergedPolicy {
  if (project.superAdmin) {
    const missing = ADMIN_TYPES.filter((type) => !policy.resource.some((r) => r.resourceType === type));
    policy.resource.push(...missing.map((resourceType) => ({ resourceType })));
    return policy;
  }
  policy.resource = policy.resource.filter((r) => !ADMIN_TYPES.includes(r.resourceType as string));
  if (membership.admin) {
    policy.resource.push(...projectAdminRights(project, membership));
  }
  return policy;
}

function projectAdminRights(project: Project, membership: ProjectMembership): AccessPolicyResource[] {
  const linked = (project.link ?? []).map((link) => resolveId(link.project)).join(',');
  const rights: AccessPolicyResource[] = [
    {
      resourceType: 'Project',
      criteria: `Project?_id=${resolveId(membership.project)}`,
      readonlyFields: ['features', 'link', 'systemSetting'],
      hiddenFields: ['superAdmin', 'systemSecret', 'strictMode'],
      interaction: ['read', 'vread', 'update', 'history', 'create', 'search'],
    },
  ];
  if (linked) {
    rights.push({
      resourceType: 'Project',
      criteria: `Project?_id=${linked}`,
      readonly: true,
      hiddenFields: ['superAdmin', 'setting', 'systemSetting', 'secret', 'systemSecret', 'strictMode'],
    });
  }
  return [
    ...rights,
    { resourceType: 'ProjectMembership', readonlyFields: ['project', 'user'] },
    { resourceType: 'UserSecurityRequest', readonly: true },
    {
      resourceType: 'User',
      hiddenFields: ['passwordHash', 'mfaSecret'],
      readonlyFields: ['email', 'emailVerified', 'mfaEnrolled', 'project'],
    },
  ];
}

/** What a repository's user may see and change: projects first, then the access policy. */
import {
  accessPolicySupportsInteraction,
  evalFhirPathTyped,
  isObject,
  PropertyType,
  protectedResourceTypes,
  readInteractions,
  satisfiedAccessPolicy,
} from '@medplum/core';
import type { AccessPolicyInteraction } from '@medplum/core';
import type { AccessPolicyResource, Resource, ResourceType } from '@medplum/fhirtypes';
import type { RepositoryContext } from './context.ts';
import { R4_PROJECT_ID } from './context.ts';

type Fields = Record<string, unknown>;

export function supportsInteraction(
  context: RepositoryContext,
  interaction: AccessPolicyInteraction,
  resourceType: string
): boolean {
  if (!context.superAdmin && protectedResourceTypes.includes(resourceType)) {
    return false;
  }
  const policy = context.accessPolicy;
  return !policy || accessPolicySupportsInteraction(policy, interaction, resourceType as ResourceType);
}

/** Whether a resource of the project can be read at all: own, linked, or the base definitions. */
export function inReadableProject(context: RepositoryContext, projectId: string | undefined | null): boolean {
  return (
    Boolean(context.superAdmin) ||
    projectId === R4_PROJECT_ID ||
    Boolean(context.projects?.some((p) => p.id === projectId))
  );
}

/** The policy entry that allows it, or undefined. */
export function canPerform(
  context: RepositoryContext,
  interaction: AccessPolicyInteraction,
  resource: Resource
): AccessPolicyResource | undefined {
  if (!context.superAdmin) {
    if (protectedResourceTypes.includes(resource.resourceType)) {
      return undefined;
    }
    const project = resource.meta?.project;
    if (readInteractions.includes(interaction)) {
      if (!inReadableProject(context, project)) {
        return undefined;
      }
    } else if (project !== context.projects?.[0]?.id) {
      return undefined;
    }
  }
  return satisfiedAccessPolicy(resource, interaction, context.accessPolicy);
}

/** Also asks the policy's write constraints, which may compare before and after. */
export function isWriteable(
  context: RepositoryContext,
  before: Resource | undefined,
  after: Resource,
  interaction: 'create' | 'update'
): boolean {
  const policy = canPerform(context, interaction, after);
  return Boolean(
    policy &&
      (policy.writeConstraint ?? []).every((constraint) => {
        const result = evalFhirPathTyped(
          constraint.expression as string,
          [{ type: after.resourceType, value: after }],
          {
            '%before': { type: before?.resourceType ?? 'undefined', value: before },
            '%after': { type: after.resourceType, value: after },
          }
        );
        return result.length === 1 && result[0]?.value === true;
      })
  );
}

/** Takes from the resource, in place, what its reader may not see. */
export function removeHiddenFields<T extends Resource>(context: RepositoryContext, resource: T): T {
  const policy = satisfiedAccessPolicy(resource, 'read', context.accessPolicy);
  for (const field of policy?.hiddenFields ?? []) {
    removeField(resource, field);
  }
  if (!context.extendedMode && resource.meta) {
    delete resource.meta.author;
    delete resource.meta.project;
    delete resource.meta.account;
    delete resource.meta.compartment;
  }
  return resource;
}

/** Puts back, in place, the fields that the writer may not change: silently, as the real server does. */
export function restoreReadonlyFields<T extends Resource>(context: RepositoryContext, input: T, original?: T): T {
  const policy = satisfiedAccessPolicy(original ?? input, original ? 'update' : 'create', context.accessPolicy);
  for (const field of [...(policy?.readonlyFields ?? []), ...(policy?.hiddenFields ?? [])]) {
    removeField(input, field);
    const value = original?.[field as keyof T];
    if (value && !field.includes('.') && !field.endsWith('[x]')) {
      input[field as keyof T] = value;
    }
  }
  return input;
}

function removeField(input: object, path: string): void {
  const parts = path.split('.');
  const last = parts.pop() as string;
  let holders: Fields[] = [input as Fields];
  for (const part of parts) {
    holders = holders.flatMap((holder) =>
      fieldNames(holder, part).flatMap((name) => {
        const value = holder[name];
        return (Array.isArray(value) ? value : [value]).filter((v): v is Fields => isObject(v));
      })
    );
  }
  for (const holder of holders) {
    for (const name of fieldNames(holder, last)) {
      delete holder[name];
    }
  }
}

/** `value[x]` stands for valueString, valueQuantity and so on. */
function fieldNames(holder: Fields, name: string): string[] {
  if (!name.endsWith('[x]')) {
    return [name];
  }
  const base = name.slice(0, -'[x]'.length);
  return Object.keys(holder).filter((key) => {
    const type = key.slice(base.length);
    return key.startsWith(base) && (type in PropertyType || type.charAt(0).toLowerCase() + type.slice(1) in PropertyType);
  });
}

/** The parts of meta that the server decides: project, author, accounts, compartments, time. */
import {
  evalFhirPath,
  extractAccountReferences,
  getSearchParameter,
  isUUID,
  protectedResourceTypes,
  resolveId,
} from '@medplum/core';
import type { Reference, Resource } from '@medplum/fhirtypes';
import type { Store } from '../store/store.ts';
import type { RepositoryContext } from './context.ts';
import { patientCompartmentParameters } from './definitions.ts';

export function projectOf(context: RepositoryContext, existing: Resource | undefined, updated: Resource): string | undefined {
  if (updated.resourceType === 'Project') {
    return updated.id;
  }
  if (updated.resourceType === 'ProjectMembership') {
    return resolveId(updated.project);
  }
  if (updated.resourceType === 'User' && context.superAdmin) {
    return updated.meta?.project;
  }
  if (protectedResourceTypes.includes(updated.resourceType)) {
    return undefined;
  }
  if (updated.meta?.project && context.superAdmin) {
    return updated.meta.project;
  }
  return existing?.meta?.project ?? context.projects?.[0]?.id;
}

export function authorOf(context: RepositoryContext, resource: Resource): Reference {
  const author = resource.meta?.author;
  return author && context.superAdmin ? author : context.author;
}

export function lastUpdatedOf(context: RepositoryContext, existing: Resource | undefined, resource: Resource): string {
  const given = resource.meta?.lastUpdated;
  return !existing && given && context.superAdmin ? given : new Date().toISOString();
}

/** Accounts come from whoever may set them, else from the creator's policy and from the patients. */
export function accountsOf(
  context: RepositoryContext,
  store: Store,
  existing: Resource | undefined,
  updated: Resource
): Reference[] | undefined {
  if (updated.meta && context.extendedMode && (context.superAdmin || context.projectAdmin)) {
    return extractAccountReferences(updated.meta);
  }
  const accounts = new Set<string>();
  const compartment = context.accessPolicy?.compartment?.reference;
  if (!existing && compartment) {
    accounts.add(compartment);
  }
  const sources =
    updated.resourceType === 'Patient' ? [existing] : patientsOf(updated).map((patient) => current(store, patient));
  for (const source of sources) {
    for (const account of extractAccountReferences(source?.meta) ?? []) {
      if (account.reference) {
        accounts.add(account.reference);
      }
    }
  }
  return accounts.size ? [...accounts].map((reference) => ({ reference })) : undefined;
}

/** The id of `Patient/<id>`, also where a version follows. */
function patientId(reference: string): string {
  return reference.split('/')[1] ?? '';
}

function current(store: Store, reference: string): Resource | undefined {
  const entry = store.get('Patient', patientId(reference));
  return entry && !entry.deleted ? (JSON.parse(entry.json) as Resource) : undefined;
}

/** `Patient/<id>` of every patient whose compartment the resource is in. */
export function patientsOf(resource: Resource): string[] {
  const patients = new Set<string>();
  if (resource.resourceType === 'Patient' && resource.id) {
    patients.add(`Patient/${resource.id}`);
  }
  for (const code of patientCompartmentParameters(resource.resourceType)) {
    const expression = getSearchParameter(resource.resourceType, code)?.expression;
    for (const value of expression ? evalFhirPath(expression, resource) : []) {
      const reference = (value as Reference | undefined)?.reference;
      if (typeof reference === 'string' && reference.startsWith('Patient/')) {
        patients.add(reference);
      }
    }
  }
  return [...patients];
}

export function compartmentsOf(resource: Resource): Reference[] {
  const compartments = new Set<string>();
  const meta = resource.meta;
  if (meta?.project && isUUID(meta.project)) {
    compartments.add(`Project/${meta.project}`);
  }
  if (resource.resourceType === 'User' && isUUID(resolveId(resource.project) ?? '')) {
    compartments.add(resource.project?.reference as string);
  }
  for (const account of meta?.accounts ?? (meta?.account ? [meta.account] : [])) {
    if (!account.reference?.startsWith('Project/') && isUUID(resolveId(account) ?? '')) {
      compartments.add(account.reference as string);
    }
  }
  for (const patient of patientsOf(resource)) {
    if (isUUID(patientId(patient))) {
      compartments.add(patient);
    }
  }
  return [...compartments].map((reference) => ({ reference }));
}

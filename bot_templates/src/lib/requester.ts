import type { MedplumClient } from '@medplum/core';
import type { AccessPolicy, Bundle, Resource } from '@medplum/fhirtypes';
import { BotFailure } from './failure.ts';
import { fhirRequest } from './fhir.ts';
import { parseReference } from './ids.ts';
import type { BotRun } from './run.ts';

/** A resource by type and id. */
export interface ResourceKey {
  resourceType: string;
  resourceId: string;
}

/**
 * What the client's user may read of some resources, in one request.
 * @param patientId - Whose the resources must be, as the record itself says; without one, they may be anybody's.
 * @returns The current version id of each, by `Type/id`; what is gone or may not be read is absent.
 * @throws BotFailure DB_ERROR or TIMEOUT when the server could not tell.
 */
export async function readableVersions(
  medplum: MedplumClient,
  resources: readonly ResourceKey[],
  patientId?: string
): Promise<Map<string, string>> {
  if (resources.length === 0) {
    return new Map();
  }
  const types = [...new Set(resources.map(({ resourceType }) => resourceType))];
  const batch: Bundle = {
    resourceType: 'Bundle',
    type: 'batch',
    entry: types.map((type) => {
      const ids = resources.filter(({ resourceType }) => resourceType === type).map(({ resourceId }) => resourceId);
      const ofPatient = patientId === undefined ? '' : `&subject=Patient/${patientId}`;
      const url = `${type}?_id=${ids.join(',')}${ofPatient}&_count=${ids.length}&_fields=id,meta`;
      return { request: { method: 'GET', url } };
    }),
  };
  const answer = await fhirRequest('Reading the hits again', 'DB_ERROR', (signal) =>
    medplum.executeBatch(batch, { signal })
  );
  const versions = new Map<string, string>();
  for (const { resource } of answer.entry ?? []) {
    // A type that may not be read at all answers an OperationOutcome in place of a Bundle.
    for (const found of resource?.resourceType === 'Bundle' ? (resource.entry ?? []) : []) {
      addVersion(versions, found.resource);
    }
  }
  return versions;
}

function addVersion(versions: Map<string, string>, resource: Resource | undefined): void {
  if (resource?.id && resource.meta?.versionId) {
    versions.set(`${resource.resourceType}/${resource.id}`, resource.meta.versionId);
  }
}

/**
 * Refuses patients and their relatives, and whoever is not attested: a bot with rights of its own sees more than they
 * may, and tells no AccessPolicy of theirs.
 * @param what - What is refused, such as `ask for billing codes`.
 * @throws BotFailure UNAUTHORIZED
 */
export function requireProfessional(run: BotRun, what: string): void {
  const type = parseReference(run.requester)?.resourceType;
  if (type === undefined || type === 'Patient' || type === 'RelatedPerson') {
    throw new BotFailure('UNAUTHORIZED', `Patients, related persons and unknown callers may not ${what}`);
  }
}

/** What the access policy of the client's user keeps from them, by resource type. */
export interface Sight {
  /** They see only some fields: a stored text may quote the others. */
  fieldsHidden(resourceType: string): boolean;
  /** They see only some resources: an empty search does not mean that there are none. */
  resourcesHidden(resourceType: string): boolean;
}

/** @returns What is hidden. When the server does not tell, everything may be. */
export async function sightOf(medplum: MedplumClient): Promise<Sight> {
  try {
    const me = await fhirRequest(
      'Reading the access policy',
      'UNAUTHORIZED',
      (signal) => medplum.get('auth/me', { signal, cache: 'reload' }) as Promise<{ accessPolicy?: AccessPolicy }>
    );
    const rulesOf = (resourceType: string) =>
      (me.accessPolicy?.resource ?? []).filter((rule) => rule.resourceType === resourceType || rule.resourceType === '*');
    return {
      fieldsHidden: (type) => rulesOf(type).some((rule) => (rule.hiddenFields ?? []).length > 0),
      // One rule without criteria opens all of a type.
      resourcesHidden: (type) =>
        rulesOf(type).length > 0 && rulesOf(type).every((rule) => rule.criteria !== undefined || rule.compartment),
    };
  } catch {
    return { fieldsHidden: () => true, resourcesHidden: () => true };
  }
}

/**
 * Tells the types of which the client's user sees only some fields.
 * @returns A test of a resource type. When the server does not tell, it holds for every type.
 */
export async function fieldsHiddenOf(medplum: MedplumClient): Promise<Sight['fieldsHidden']> {
  return (await sightOf(medplum)).fieldsHidden;
}

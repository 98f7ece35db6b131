/** Patient/$everything: the patient and all of the compartment that the caller may see. */
import { allOk } from '@medplum/core';
import type { FhirRequest, FhirResponse } from '@medplum/fhir-router';
import type { Bundle, BundleEntry, Patient, Resource, ResourceType } from '@medplum/fhirtypes';
import type { Exchange } from '../../http/exchange.ts';
import { patientCompartmentTypes } from '../definitions.ts';
import { removeHiddenFields } from '../permissions.ts';
import type { Repository } from '../repository.ts';
import { search } from '../search.ts';

const DEFAULT_COUNT = 1000;
/** What lies outside of the compartment but belongs to the picture. */
const RELATED = /^(Organization|Location|Practitioner|PractitionerRole|Medication|Device)\//;

export async function everything(x: Exchange, request: FhirRequest): Promise<FhirResponse> {
  const { repo } = x.authenticated();
  const id = request.params.id ?? '';
  await repo.readResource<Patient>('Patient', id);
  const { _type, _count, _offset, _since } = request.query as Record<string, string | undefined>;
  const types = [...(_type?.split(',') ?? patientCompartmentTypes().filter((type) => type !== 'Binary')), 'Patient'];
  const bundle = search<Resource>(repo, {
    resourceType: 'Patient',
    types: types.sort() as ResourceType[],
    count: Number(_count ?? DEFAULT_COUNT),
    offset: Number(_offset ?? 0),
    filters: [
      ...(_since ? [{ code: '_lastUpdated', operator: 'ge' as const, value: _since }] : []),
      { code: '_compartment', operator: 'eq', value: `Patient/${id}` },
    ],
    sortRules: [{ code: '_id' }],
  });
  return [allOk, { ...bundle, entry: withRelated(repo, bundle.entry) } as Bundle];
}

function withRelated(repo: Repository, found: BundleEntry[] | undefined): BundleEntry[] | undefined {
  const entries = new Map((found ?? []).map((e) => [`${e.resource?.resourceType}/${e.resource?.id}`, e]));
  // New entries are added while the map is walked, and are walked too.
  for (const { resource } of entries.values()) {
    for (const [, reference] of JSON.stringify(resource).matchAll(/"reference":"([^"]+)"/g)) {
      const related = reference && RELATED.test(reference) && !entries.has(reference) ? repo.tryRead(reference) : undefined;
      if (related && !(related instanceof Error)) {
        const shown = removeHiddenFields(repo.context, related);
        entries.set(reference as string, { resource: shown, search: { mode: 'include' } });
      }
    }
  }
  return found && [...entries.values()];
}

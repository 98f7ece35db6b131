/** Patient/$everything: the patient and all of the compartment that the caller may see. */
import { allOk } from '@medplum/core';
import type { FhirRequest, FhirResponse } from '@medplum/fhir-router';
import type { Bundle, BundleEntry, Patient, Resource, ResourceType } from '@medplum/fhirtypes';
import type { Exchange } from '../../http/exchange.ts';
import { patientCompartmentTypes } from '../definitions.ts';
import { supportsInteraction } from '../permissions.ts';
import { search } from '../search.ts';

const DEFAULT_COUNT = 1000;

export async function everything(x: Exchange, request: FhirRequest): Promise<FhirResponse> {
  const { repo } = x.authenticated();
  const id = request.params.id ?? '';
  await repo.readResource<Patient>('Patient', id);
  const only = request.query._type?.toString().split(',');
  const types = (only ?? ['Patient', ...patientCompartmentTypes()]).filter(
    (type, i, all) => all.indexOf(type) === i && supportsInteraction(repo.context, 'search', type)
  );
  const count = Number(request.query._count ?? DEFAULT_COUNT);
  const offset = Number(request.query._offset ?? 0);
  const bundle = search<Resource>(repo, {
    resourceType: 'Patient',
    types: types as ResourceType[],
    count,
    offset,
    filters: [{ code: '_compartment', operator: 'eq', value: `Patient/${id}` }],
  });
  const entry: BundleEntry[] | undefined = bundle.entry;
  return [allOk, { resourceType: 'Bundle', type: 'searchset', entry } as Bundle];
}

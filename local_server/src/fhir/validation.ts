/** Validation against the base specification and the project's own profiles, by the real server's validator. */
import { validateResource } from '@medplum/core';
import type { Resource, StructureDefinition } from '@medplum/fhirtypes';
import type { Repository } from './repository.ts';
import { search } from './search.ts';

const MAX_BASE64_BYTES = 1024 * 1024;

/** @throws OperationOutcomeError with every issue */
export function validate(repo: Repository, resource: Resource): void {
  if (repo.context.strictMode === false) {
    return;
  }
  const options = { base64BinaryMaxBytes: MAX_BASE64_BYTES };
  validateResource(resource, options);
  for (const url of resource.meta?.profile ?? []) {
    const profile = search<StructureDefinition>(repo.app.system, {
      resourceType: 'StructureDefinition',
      filters: [
        { code: 'url', operator: 'eq', value: url },
        { code: '_project', operator: 'eq', value: resource.meta?.project ?? '' },
      ],
      sortRules: [
        { code: 'version', descending: true },
        { code: 'date', descending: true },
      ],
      count: 1,
    }).entry?.[0]?.resource;
    if (profile) {
      validateResource(resource, { ...options, profile });
    }
  }
}

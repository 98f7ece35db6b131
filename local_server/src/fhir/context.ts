/** Who works with the repository, and within which bounds. */
import type { WithId } from '@medplum/core';
import type { AccessPolicy, Project, Reference } from '@medplum/fhirtypes';
import type { FhirQuota } from '../http/rateLimits.ts';

export interface RepositoryContext {
  /** Becomes meta.author. `system` for the server itself. */
  readonly author: Reference;
  /** For whom the author acts; becomes meta.onBehalfOf. */
  readonly onBehalfOf?: Reference;
  readonly remoteAddress?: string;
  /** Own project first, then the linked ones, which can be read. None for the server itself. */
  readonly projects?: readonly WithId<Project>[];
  readonly accessPolicy?: AccessPolicy;
  readonly superAdmin?: boolean;
  readonly projectAdmin?: boolean;
  /** Validate strictly; what is not strict is not validated at all here. */
  readonly strictMode?: boolean;
  readonly checkReferencesOnWrite?: boolean;
  /** Show meta.author, meta.project, meta.account and meta.compartment. */
  readonly extendedMode?: boolean;
  readonly quota?: FhirQuota;
}

/** Owner of the definitions that every project may read. */
export const R4_PROJECT_ID = '161452d9-43b7-5c29-aa7b-c85680fa45c6';

/** The half of the repository that reads and searches, within the rights of its user. */
import type { SearchRequest, WithId } from '@medplum/core';
import {
  badRequest,
  forbidden,
  gone,
  isGone,
  isUUID,
  normalizeOperationOutcome,
  notFound,
  OperationOutcomeError,
  parseReference,
  validateResourceType,
} from '@medplum/core';
import type { ReadHistoryOptions } from '@medplum/fhir-router';
import { FhirRepository } from '@medplum/fhir-router';
import type { Bundle, Reference, Resource } from '@medplum/fhirtypes';
import { randomUUID } from 'node:crypto';
import type { App } from '../app.ts';
import type { RepositoryContext } from './context.ts';
import { historyBundle } from './history.ts';
import { canPerform, inReadableProject, removeHiddenFields, supportsInteraction } from './permissions.ts';
import { search } from './search.ts';
import { visibility } from './visibility.ts';

export abstract class Reader extends FhirRepository {
  constructor(
    readonly app: App,
    readonly context: RepositoryContext
  ) {
    super();
  }

  override setMode(): void {
    // There is one store; reading from a replica is the real server's matter.
  }

  override generateId(): string {
    return randomUUID();
  }

  // Reading

  override async readResource<T extends Resource>(resourceType: string, id: string): Promise<WithId<T>> {
    this.context.quota?.read();
    return removeHiddenFields(this.context, this.readNow<T>(resourceType, id));
  }

  /** The resource as it is kept, with all of its meta; rights are checked. */
  readNow<T extends Resource>(resourceType: string, id: string): WithId<T> {
    if (!isUUID(id ?? '')) {
      throw new OperationOutcomeError(notFound);
    }
    validateResourceType(resourceType);
    if (!supportsInteraction(this.context, 'read', resourceType)) {
      throw new OperationOutcomeError(forbidden);
    }
    const entry = this.app.store.get(resourceType, id);
    if (!entry) {
      throw new OperationOutcomeError(notFound);
    }
    if (entry.deleted) {
      const seen = inReadableProject(this.context, entry.project) && visibility(this, resourceType, 'read')(entry);
      throw new OperationOutcomeError(seen ? gone : notFound);
    }
    const resource = JSON.parse(entry.json) as WithId<T>;
    // Search finds more than the in-memory matcher of policies does, and what it finds can be read.
    if (!canPerform(this.context, 'read', resource) && !visibility(this, resourceType, 'read')(entry)) {
      throw new OperationOutcomeError(notFound);
    }
    return resource;
  }

  override async readReference<T extends Resource>(reference: Reference<T>): Promise<WithId<T>> {
    this.context.quota?.read();
    return removeHiddenFields(this.context, this.readReferenceNow(reference));
  }

  readReferenceNow<T extends Resource>(reference: Reference<T>): WithId<T> {
    let parts: [string, string];
    try {
      parts = parseReference(reference);
    } catch {
      throw new OperationOutcomeError(badRequest('Invalid reference'));
    }
    return this.readNow(parts[0], parts[1]);
  }

  /** The resource behind a reference string, or the reason why not. */
  tryRead(reference: string | undefined): WithId<Resource> | Error {
    if (!reference || !/^[A-Z][a-zA-Z]+\//.test(reference)) {
      return new OperationOutcomeError(notFound);
    }
    try {
      return this.readReferenceNow({ reference });
    } catch (err) {
      return err as Error;
    }
  }

  override async readReferences<T extends Resource>(references: readonly Reference<T>[]): Promise<(T | Error)[]> {
    this.context.quota?.read(references.length);
    return references.map((reference) => {
      const found = this.tryRead(reference.reference) as T | Error;
      return found instanceof Error ? found : removeHiddenFields(this.context, found);
    });
  }

  override async readHistory<T extends Resource>(
    resourceType: string,
    id: string,
    options?: ReadHistoryOptions
  ): Promise<Bundle<WithId<T>>> {
    this.context.quota?.history();
    this.checkPast(resourceType, id, 'history');
    return historyBundle(this, resourceType, id, options);
  }

  override async readVersion<T extends Resource>(resourceType: string, id: string, vid: string): Promise<WithId<T>> {
    this.context.quota?.read();
    return removeHiddenFields(this.context, this.readVersionNow<T>(resourceType, id, vid));
  }

  readVersionNow<T extends Resource>(resourceType: string, id: string, vid: string): WithId<T> {
    if (!isUUID(id ?? '') || !isUUID(vid ?? '')) {
      throw new OperationOutcomeError(notFound);
    }
    this.checkPast(resourceType, id, 'vread');
    const row = this.app.store.version(resourceType, id, vid);
    if (!row?.json) {
      throw new OperationOutcomeError(notFound);
    }
    return JSON.parse(row.json) as WithId<T>;
  }

  /** A deleted resource's past can be read; an existing one's by whoever may read it now. */
  private checkPast(resourceType: string, id: string, interaction: 'history' | 'vread'): void {
    try {
      const resource = this.readNow(resourceType, id);
      if (!canPerform(this.context, interaction, resource)) {
        throw new OperationOutcomeError(forbidden);
      }
    } catch (err) {
      if (!isGone(normalizeOperationOutcome(err))) {
        throw err;
      }
    }
  }

  // Searching

  override async search<T extends Resource>(request: SearchRequest<T>): Promise<Bundle<WithId<T>>> {
    this.context.quota?.search();
    return search<T>(this, request);
  }

  /** The matches, as they are kept, without the bundle around them. */
  searchNow<T extends Resource>(request: SearchRequest<T>): WithId<T>[] {
    return (search<T>(this, request).entry ?? []).map((e) => e.resource as WithId<T>);
  }

  override async searchByReference<T extends Resource>(
    request: SearchRequest<T>,
    referenceField: string,
    references: string[]
  ): Promise<Record<string, WithId<T>[]>> {
    this.context.quota?.search(references.length);
    return Object.fromEntries(
      references.map((value) => {
        const filters = [...(request.filters ?? []), { code: referenceField, operator: 'eq' as const, value }];
        const bundle = search<T>(this, { ...request, filters });
        return [value, (bundle.entry ?? []).map((e) => e.resource as WithId<T>)];
      })
    );
  }
}

/**
 * The FHIR repository: what @medplum/fhir-router asks of a server. One instance for one user (or for
 * the server itself).
 *
 * Everything here works on memory and is synchronous; the public methods are asynchronous because the
 * router's contract is. Writes take the writing mutex, so that none slips into another's transaction.
 */
import type { Operation, WithId } from '@medplum/core';
import {
  applyPatch,
  badRequest,
  deepEquals,
  forbidden,
  isGone,
  isNotFound,
  isResourceType,
  isUUID,
  normalizeOperationOutcome,
  OperationOutcomeError,
  preconditionFailed,
  stringify,
} from '@medplum/core';
import type { CreateResourceOptions, DeleteResourceOptions, UpdateResourceOptions } from '@medplum/fhir-router';
import type { Meta, Parameters, Resource, ResourceType } from '@medplum/fhirtypes';
import { AsyncLocalStorage } from 'node:async_hooks';
import { withReferences } from './attachments.ts';
import { afterBinaryWrite } from './binaryData.ts';
import { canPerform, isWriteable, removeHiddenFields, restoreReadonlyFields, supportsInteraction } from './permissions.ts';
import { Reader } from './reader.ts';
import { checkReferences, replaceConditionalReferences } from './references.ts';
import { accountsOf, authorOf, compartmentsOf, lastUpdatedOf, projectOf } from './stamp.ts';
import { validate } from './validation.ts';

/** Work that waits for the commit: subscriptions, bytes of binaries. */
type AfterCommit = () => void | Promise<void>;

interface Transaction {
  readonly after: AfterCommit[];
  open: boolean;
}

/** The transaction that the running work belongs to: whatever writes meanwhile, as whomever, joins it. */
const transactions = new AsyncLocalStorage<Transaction>();

export class Repository extends Reader {
  override async createResource<T extends Resource>(resource: T, options?: CreateResourceOptions): Promise<WithId<T>> {
    this.context.quota?.write();
    const id = options?.assignedId && resource.id ? resource.id : this.generateId();
    return this.writing((after) => {
      if (options?.assignedId && resource.id && !this.context.superAdmin && this.app.store.get(resource.resourceType, id)) {
        throw new Error('Assigned ID is already in use');
      }
      return this.write({ ...resource, id }, true, after);
    });
  }

  override async updateResource<T extends Resource>(resource: T, options?: UpdateResourceOptions): Promise<WithId<T>> {
    this.context.quota?.write();
    return this.writing((after) => this.write(resource, false, after, options));
  }

  override async patchResource<T extends Resource>(
    resourceType: T['resourceType'],
    id: string,
    patch: Operation[] | Parameters,
    options?: UpdateResourceOptions
  ): Promise<WithId<T>> {
    this.context.quota?.write();
    return this.writing((after) => {
      const resource = this.readNow<T>(resourceType, id);
      if (!Array.isArray(patch)) {
        throw new OperationOutcomeError(badRequest('Patch body must be an array'));
      }
      patchInPlace(resource, patch);
      return this.write(resource, false, after, options);
    });
  }

  override async deleteResource(resourceType: string, id: string, options?: DeleteResourceOptions): Promise<void> {
    this.context.quota?.write();
    await this.writing((after) => {
      let resource: WithId<Resource>;
      try {
        resource = this.readNow(resourceType, id);
      } catch (err) {
        if (isGone(normalizeOperationOutcome(err))) {
          return;
        }
        throw err;
      }
      if (!canPerform(this.context, 'delete', resource)) {
        throw new OperationOutcomeError(forbidden);
      }
      if (options?.ifMatch && resource.meta?.versionId !== options.ifMatch) {
        throw new OperationOutcomeError(preconditionFailed);
      }
      this.app.store.put({
        type: resourceType,
        id,
        versionId: this.generateId(),
        lastUpdated: new Date().toISOString(),
        project: resource.meta?.project ?? null,
        deleted: 1,
        json: '',
      });
      after.push(() => this.app.subscriptions.consider(resource, resource, 'delete'));
    });
  }

  /** Removes resources with their history, for good. */
  async expunge(resourceType: string, ids: string[]): Promise<void> {
    if (!this.context.superAdmin && !this.context.projectAdmin) {
      throw new OperationOutcomeError(forbidden);
    }
    await this.writing(() => this.app.store.expunge(resourceType, ids));
    if (resourceType === 'Binary') {
      await Promise.all(ids.map((id) => this.app.binaries.remove(id)));
    }
  }

  /** Runs the work with the store to itself, then what waits for its commit. */
  private async writing<T>(work: (after: AfterCommit[]) => T): Promise<T> {
    const transaction = transactions.getStore();
    if (transaction?.open) {
      return work(transaction.after);
    }
    const after: AfterCommit[] = [];
    const result = await this.app.writing.run(async () => work(after));
    await this.runAfter(after);
    return result;
  }

  private async runAfter(after: AfterCommit[]): Promise<void> {
    for (const work of after) {
      try {
        await work();
      } catch (err) {
        this.app.log.error('Work after commit failed', { error: (err as Error).message });
      }
    }
  }

  override async withTransaction<TResult>(callback: (repo: this) => Promise<TResult>): Promise<TResult> {
    if (transactions.getStore()?.open) {
      return callback(this);
    }
    const transaction: Transaction = { after: [], open: true };
    const result = await this.app.writing.run(async () => {
      this.app.store.begin();
      try {
        const value = await transactions.run(transaction, () => callback(this));
        this.app.store.commit();
        return value;
      } catch (err) {
        this.app.store.rollback();
        throw err;
      } finally {
        transaction.open = false;
      }
    });
    await this.runAfter(transaction.after);
    return result;
  }

  private write<T extends Resource>(given: T, create: boolean, after: AfterCommit[], options?: UpdateResourceOptions): WithId<T> {
    const interaction = create ? 'create' : 'update';
    const resource = this.checkWritable(given, interaction);
    const existing = create ? undefined : this.existing<T>(resource.resourceType, resource.id);
    if (existing) {
      (existing.meta as Meta).compartment = compartmentsOf(existing);
      if (!canPerform(this.context, interaction, existing)) {
        throw new OperationOutcomeError(forbidden);
      }
      if (options?.ifMatch && existing.meta?.versionId !== options.ifMatch) {
        throw new OperationOutcomeError(preconditionFailed);
      }
    }
    const updated = withReferences(this.app, restoreReadonlyFields(this.context, { ...resource }, existing));
    replaceConditionalReferences(updated, (request) => this.searchNow(request));
    const meta: Meta = {
      ...updated.meta,
      versionId: this.generateId(),
      lastUpdated: lastUpdatedOf(this.context, existing, resource),
      author: authorOf(this.context, resource),
      onBehalfOf: this.context.onBehalfOf,
    };
    const result = { ...updated, meta };
    const project = projectOf(this.context, existing, updated);
    if (project) {
      meta.project = project;
    }
    const accounts = accountsOf(this.context, this.app.store, existing, updated);
    if (accounts) {
      meta.account = accounts[0];
      meta.accounts = accounts;
    }
    meta.compartment = compartmentsOf(result);
    validate(this, result);
    if (this.context.checkReferencesOnWrite) {
      checkReferences(result, (reference) => this.tryRead(reference.reference));
    }
    if (existing && sameContent(existing, result)) {
      return removeHiddenFields(this.context, existing);
    }
    if (!isWriteable(this.context, existing, result, interaction)) {
      throw new OperationOutcomeError(forbidden);
    }
    return this.keep(result, existing, interaction, after);
  }

  private keep<T extends Resource>(result: WithId<T>, existing: WithId<T> | undefined, interaction: 'create' | 'update', after: AfterCommit[]): WithId<T> {
    const binary = result.resourceType === 'Binary' ? afterBinaryWrite(this.app, existing, result) : undefined;
    const json = stringify(result);
    const meta = result.meta as Meta;
    this.app.store.put({
      type: result.resourceType,
      id: result.id,
      versionId: meta.versionId as string,
      lastUpdated: meta.lastUpdated as string,
      project: meta.project ?? null,
      deleted: 0,
      json,
    });
    if (binary) {
      after.push(binary);
    }
    after.push(() => this.app.subscriptions.consider(JSON.parse(json) as WithId<Resource>, existing, interaction));
    return removeHiddenFields(this.context, JSON.parse(JSON.stringify(result)) as WithId<T>);
  }

  private checkWritable<T extends Resource>(resource: T, interaction: 'create' | 'update'): WithId<T> {
    const { resourceType, id } = resource;
    if (!id) {
      throw new OperationOutcomeError(badRequest('Missing id'));
    }
    if (!isUUID(id)) {
      throw new OperationOutcomeError(badRequest('Invalid id'));
    }
    const defaults = this.context.projects?.[0]?.defaultProfile?.find((p) => p.resourceType === resourceType)?.profile;
    if (!resource.meta?.profile && defaults?.length) {
      resource.meta = { ...resource.meta, profile: defaults };
    }
    if (!supportsInteraction(this.context, interaction, resourceType)) {
      throw new OperationOutcomeError(forbidden);
    }
    if (!isResourceType(resourceType)) {
      throw new OperationOutcomeError(badRequest(`Unknown data type: ${resourceType as string}`));
    }
    return resource as WithId<T>;
  }

  /** A deleted resource counts as absent and comes back; an id that never was is only a super admin's to set. */
  private existing<T extends Resource>(resourceType: ResourceType, id: string): WithId<T> | undefined {
    try {
      return this.readNow<T>(resourceType, id);
    } catch (err) {
      const outcome = normalizeOperationOutcome(err);
      if (isGone(outcome) || (isNotFound(outcome) && this.context.superAdmin)) {
        return undefined;
      }
      throw err;
    }
  }
}

function sameContent(existing: Resource, updated: Resource): boolean {
  return deepEquals(JSON.parse(stringify(existing)), JSON.parse(stringify(updated)));
}

/** @throws OperationOutcomeError naming each operation that did not fit. */
function patchInPlace(resource: Resource, patch: Operation[]): void {
  let errors: (Error | null)[];
  try {
    errors = applyPatch(resource, patch);
  } catch (err) {
    throw new OperationOutcomeError(normalizeOperationOutcome(err));
  }
  const messages = errors.flatMap((err) => (err ? [err.message] : []));
  if (messages.length) {
    throw new OperationOutcomeError(badRequest(messages.join('\n')));
  }
}

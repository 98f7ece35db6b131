/** Small operations: $validate, $resend, $reindex, $rotate-secret. */
import { allOk, forbidden, OperationOutcomeError, preconditionFailed } from '@medplum/core';
import type { FhirRequest, FhirResponse } from '@medplum/fhir-router';
import type { ClientApplication, Resource } from '@medplum/fhirtypes';
import { newSecret } from '../../auth/signer.ts';
import type { Exchange } from '../../http/exchange.ts';
import { validate } from '../validation.ts';

interface ResendOptions {
  readonly interaction?: 'create' | 'update' | 'delete';
  /** `Subscription/<id>`: only this one. */
  readonly subscription?: string;
}

export async function validateOnly(x: Exchange, request: FhirRequest): Promise<FhirResponse> {
  validate(x.authenticated().repo, request.body as Resource);
  return [allOk];
}

/** Fires subscriptions once more for a resource as it is. */
export async function resend(x: Exchange, request: FhirRequest): Promise<FhirResponse> {
  const { repo } = x.authenticated();
  if (!repo.context.superAdmin && !repo.context.projectAdmin) {
    throw new OperationOutcomeError(forbidden);
  }
  const { resourceType = '', id = '' } = request.params;
  const { interaction = 'update', subscription } = (request.body ?? {}) as ResendOptions;
  const resource = repo.readNow(resourceType, id);
  let previous: Resource | undefined;
  if (interaction === 'update') {
    const history = await repo.readHistory(resourceType, id, { limit: 2 });
    if (history.entry?.[0]?.resource?.meta?.versionId !== resource.meta?.versionId) {
      throw new OperationOutcomeError(preconditionFailed);
    }
    previous = history.entry?.[1]?.resource;
  }
  await x.app.subscriptions.consider(resource, previous, interaction, subscription);
  return [allOk];
}

/** There is no index to rebuild; whoever may ask gets the same answer. */
export async function reindex(x: Exchange, request: FhirRequest): Promise<FhirResponse> {
  const { repo } = x.authenticated();
  if (!repo.context.superAdmin) {
    throw new OperationOutcomeError(forbidden);
  }
  repo.readNow(request.params.resourceType ?? '', request.params.id ?? '');
  return [allOk];
}

/** A new secret for a client; the old one stays valid as the retiring one. */
export async function rotateSecret(x: Exchange, request: FhirRequest): Promise<FhirResponse> {
  const { repo } = x.administrator();
  const client = repo.readNow<ClientApplication>('ClientApplication', request.params.id ?? '');
  const updated = await repo.updateResource<ClientApplication>({
    ...client,
    secret: newSecret(32),
    retiringSecret: client.secret,
  });
  return [allOk, updated];
}

/** Small operations: $validate, $resend, $reindex, $rotate-secret. */
import { allOk, badRequest, forbidden, OperationOutcomeError, preconditionFailed } from '@medplum/core';
import type { FhirRequest, FhirResponse } from '@medplum/fhir-router';
import type { ClientApplication, Resource } from '@medplum/fhirtypes';
import { newSecret, sameText } from '../../auth/signer.ts';
import type { Exchange } from '../../http/exchange.ts';
import { inputParameters } from './parameters.ts';
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

interface RotateInput {
  readonly secret?: string;
  readonly retiringSecret?: string;
}

/** A new secret for a client, the old one staying valid as the retiring one; or the end of the retiring one. */
export async function rotateSecret(x: Exchange, request: FhirRequest): Promise<FhirResponse> {
  const { repo } = x.authenticated();
  if (!repo.context.superAdmin && !repo.context.projectAdmin) {
    return [forbidden];
  }
  const input = inputParameters<RotateInput>(request, { secret: { type: 'string' }, retiringSecret: { type: 'string' } });
  if (!input.secret && !input.retiringSecret) {
    return [badRequest('Secret to rotate must be provided')];
  }
  if (input.secret && input.retiringSecret) {
    return [badRequest('Only one secret can be rotated at a time')];
  }
  const client = x.app.system.readNow<ClientApplication>('ClientApplication', request.params.id ?? '');
  if (input.secret && sameText(client.secret, input.secret)) {
    const rotated = { ...client, secret: newSecret(32), retiringSecret: client.secret };
    return [allOk, await x.app.system.updateResource<ClientApplication>(rotated)];
  }
  if (input.retiringSecret && sameText(client.retiringSecret, input.retiringSecret)) {
    return [allOk, await x.app.system.updateResource<ClientApplication>({ ...client, retiringSecret: undefined })];
  }
  return [badRequest('Provided secret does not match client')];
}

/** Calls what a Subscription points at: a bot, or any address as a REST hook. */
import type { WithId } from '@medplum/core';
import { ContentType, createReference, getExtensionValue, isGone, isNotFound, normalizeOperationOutcome, stringify } from '@medplum/core';
import type { AuditEvent, Bot, Reference, Resource, Subscription } from '@medplum/fhirtypes';
import { createHmac } from 'node:crypto';
import fetch from 'node-fetch';
import type { App } from '../app.ts';
import { membershipOf } from '../auth/directory.ts';
import { entities } from '../bots/audit.ts';
import { runBot } from '../bots/run.ts';
import { withPresignedUrls } from '../fhir/attachments.ts';
import { tracingExtension } from '../http/exchange.ts';
import type { Job } from './queue.ts';

const HOOK_TIMEOUT_MS = 120_000;

/** @throws Error when it should be tried again */
export async function deliver(app: App, job: Job, subscription: WithId<Subscription>): Promise<void> {
  if (subscription.channel.type !== 'rest-hook' || subscription.status !== 'active') {
    return;
  }
  if (job.interaction !== 'delete' && !isStillWanted(app, job)) {
    return;
  }
  const kept = app.system.readVersionNow<Resource>(job.resourceType, job.id, job.versionId);
  const resource = withPresignedUrls(app.system, kept);
  if (subscription.channel.endpoint?.startsWith('Bot/')) {
    await callBot(app, job, subscription, resource);
  } else {
    await callHook(app, job, subscription, resource);
  }
}

/** Nothing is sent for a resource that is gone by now, nor a second time for a version that is outdated. */
function isStillWanted(app: App, job: Job): boolean {
  try {
    const current = app.system.readNow(job.resourceType, job.id);
    return job.attempts === 0 || current.meta?.versionId === job.versionId;
  } catch (err) {
    const outcome = normalizeOperationOutcome(err);
    if (isGone(outcome) || isNotFound(outcome)) {
      return false;
    }
    throw err;
  }
}

async function callBot(app: App, job: Job, subscription: WithId<Subscription>, resource: WithId<Resource>): Promise<void> {
  const bot = app.system.readReferenceNow<Bot>({ reference: subscription.channel.endpoint } as Reference<Bot>);
  const requester = resource.meta?.author as Reference;
  const profile = bot.runAsUser ? requester.reference : createReference(bot).reference;
  const runAs = membershipOf(app, subscription.meta?.project as string, profile as string);
  if (!runAs) {
    throw new Error('Could not find project membership for bot');
  }
  const input = job.interaction === 'delete' ? { deletedResource: resource } : resource;
  await runBot(app, {
    subscription,
    bot,
    runAs,
    requester,
    input,
    contentType: ContentType.FHIR_JSON,
    requestTime: job.requestTime,
    traceId: job.trace?.traceId,
    headers: headers(job, subscription, resource, JSON.stringify(input)),
  });
}

function headers(job: Job, subscription: WithId<Subscription>, resource: Resource, body: string): Record<string, string> {
  const result: Record<string, string> = {
    'Content-Type': ContentType.FHIR_JSON,
    'X-Medplum-Subscription': subscription.id,
    'X-Medplum-Interaction': job.interaction,
  };
  if (job.interaction === 'delete') {
    result['X-Medplum-Deleted-Resource'] = `${resource.resourceType}/${resource.id}`;
  }
  for (const header of subscription.channel.header ?? []) {
    const [name = '', value = ''] = header.split(':');
    result[name.trim()] = value.trim();
  }
  const secret = getExtensionValue(subscription, 'https://www.medplum.com/fhir/StructureDefinition/subscription-secret');
  if (typeof secret === 'string' && secret) {
    result['X-Signature'] = createHmac('sha256', secret).update(body).digest('hex');
  }
  if (job.trace) {
    result['x-trace-id'] = job.trace.traceId;
  }
  return result;
}

async function callHook(app: App, job: Job, subscription: WithId<Subscription>, resource: WithId<Resource>): Promise<void> {
  const url = subscription.channel.endpoint;
  if (!url) {
    return;
  }
  const body = job.interaction === 'delete' ? '{}' : stringify(resource);
  let failure: Error | undefined;
  let result: string;
  try {
    const response = await fetch(url, {
      method: 'POST',
      headers: headers(job, subscription, resource, body),
      body,
      timeout: HOOK_TIMEOUT_MS,
    });
    result = `Attempt ${job.attempts} received status ${response.status}`;
    if (response.status < 200 || response.status >= 400) {
      failure = new Error(`Received status ${response.status}`);
    }
  } catch (err) {
    failure = err as Error;
    result = `Attempt ${job.attempts} received error ${failure}`;
  }
  await auditHook(app, job, subscription, resource, result, !failure);
  if (failure) {
    throw failure;
  }
}

async function auditHook(
  app: App,
  job: Job,
  subscription: WithId<Subscription>,
  resource: Resource,
  outcomeDesc: string,
  success: boolean
): Promise<void> {
  const tracing = tracingExtension(job.trace);
  await app.system.createResource<AuditEvent>({
    resourceType: 'AuditEvent',
    meta: { project: subscription.meta?.project },
    period: { start: job.requestTime, end: new Date().toISOString() },
    recorded: new Date().toISOString(),
    type: { code: 'transmit' },
    agent: [{ type: { text: 'Subscription' }, requestor: false }],
    source: { observer: createReference(subscription) as Reference as AuditEvent['source']['observer'] },
    entity: entities(resource, subscription),
    outcome: success ? '0' : '4',
    outcomeDesc,
    extension: tracing && [tracing],
  });
}

/** The AuditEvent of a bot's run. */
import { createReference, isResourceWithId, resolveId } from '@medplum/core';
import type { AuditEvent, AuditEventEntity, Resource } from '@medplum/fhirtypes';
import type { App } from '../app.ts';
import { traces, tracingExtension } from '../http/exchange.ts';
import type { RunRequest } from './run.ts';
import type { BotResult } from './vmContext.ts';

const MAX_LOG_LENGTH = 10 * 1024;

/** Honours the bot's auditEventTrigger and auditEventDestination; kept in the project of the rights used. */
export async function auditRun(app: App, request: RunRequest, start: string, result: BotResult): Promise<void> {
  const { bot, runAs } = request;
  const trigger = bot.auditEventTrigger ?? 'always';
  const wanted =
    trigger === 'always' ||
    (trigger === 'on-error' && !result.success) ||
    (trigger === 'on-output' && result.log.length > 0);
  if (!wanted || !(bot.auditEventDestination ?? ['resource']).includes('resource')) {
    return;
  }
  const tracing = tracingExtension(traces.getStore());
  await app.system.createResource<AuditEvent>({
    resourceType: 'AuditEvent',
    meta: { project: resolveId(runAs.project), account: bot.meta?.account, accounts: bot.meta?.accounts },
    period: { start, end: new Date().toISOString() },
    recorded: new Date().toISOString(),
    type: { system: 'https://medplum.com/CodeSystem/audit-event', code: 'execute' },
    agent: [
      { who: request.requester as AuditEvent['agent'][number]['who'], requestor: true },
      { who: runAs.profile as AuditEvent['agent'][number]['who'], requestor: false },
    ],
    source: { observer: createReference(bot) as AuditEvent['source']['observer'] },
    entity: entities(bot, request.input, request.subscription),
    outcome: result.success ? '0' : '4',
    outcomeDesc: result.log.slice(-MAX_LOG_LENGTH),
    extension: tracing && [tracing],
  });
}

/** Whatever of the parts of a run is a kept resource. */
export function entities(...parts: unknown[]): AuditEventEntity[] {
  return parts.filter((part) => isResourceWithId(part)).map((resource) => ({
    what: createReference(resource),
    role: entityRole(resource),
  }));
}

function entityRole(resource: Resource): AuditEventEntity['role'] {
  switch (resource.resourceType) {
    case 'Patient':
      return { code: '1', display: 'Patient' };
    case 'Subscription':
      return { code: '9', display: 'Subscriber' };
    default:
      return { code: '4', display: 'Domain' };
  }
}

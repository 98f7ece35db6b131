import { randomUUID } from 'node:crypto';
import type { BotEvent } from '@medplum/core';
import type { ProjectSetting } from '@medplum/fhirtypes';

export const PROJECT = '11111111-1111-4111-8111-111111111111';
export const OTHER_PROJECT = '22222222-2222-4222-8222-222222222222';

/** Project secrets from plain values. */
export function secrets(values: Record<string, string>): Record<string, ProjectSetting> {
  return Object.fromEntries(Object.entries(values).map(([name, valueString]) => [name, { name, valueString }]));
}

/** What the server hands a bot on `$execute`. */
export function executeEvent(
  input: unknown,
  values: Record<string, string>,
  requester = `Practitioner/${randomUUID()}`,
  headers: Record<string, string> = {}
): BotEvent<unknown> {
  return {
    bot: { reference: `Bot/${randomUUID()}` },
    requester: { reference: requester },
    contentType: 'application/json',
    input,
    secrets: secrets(values),
    headers: { host: 'localhost', ...headers },
  } as unknown as BotEvent<unknown>;
}

/** What the server hands a bot that a subscription runs. */
export function subscriptionEvent(input: unknown, values: Record<string, string>): BotEvent<unknown> {
  return {
    ...executeEvent(input, values),
    contentType: 'application/fhir+json',
    headers: { 'X-Medplum-Subscription': randomUUID(), 'X-Medplum-Interaction': 'update' },
  } as unknown as BotEvent<unknown>;
}

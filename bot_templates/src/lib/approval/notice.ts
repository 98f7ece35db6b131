import { randomUUID } from 'node:crypto';
import type { Communication, Reference } from '@medplum/fhirtypes';
import type { Write } from '../commands/kind.ts';
import { byIdentifier } from '../commands/writes.ts';
import type { Standing } from './standing.ts';

/** What became of a command. */
export type Outcome = 'executed' | 'rejected' | 'withdrawn' | 'stopped' | 'expired' | 'failed';

/** Not a word of the command: whoever wants to know more opens the Task, with the rights they have. */
const WORDS: Record<Outcome, string> = {
  executed: 'A command that you handed in was approved and carried out.',
  rejected: 'A command that you handed in was rejected.',
  withdrawn: 'A command that you handed in was withdrawn.',
  stopped: 'A command that you handed in was ended by hand, and was not carried out.',
  expired: 'A command that you handed in was not approved in time, and was not carried out.',
  failed: 'A command that you handed in could not be carried out.',
};

/** Tells the requester of a Task what became of it, once. */
export function notice(
  namespace: string,
  { original }: Pick<Standing, 'original'>,
  outcome: Outcome,
  device: string,
  now: Date
): Write {
  const identifier = { system: `${namespace}/notice`, value: `${original.id}-${outcome}` };
  const resource: Communication = {
    resourceType: 'Communication',
    identifier: [identifier],
    status: 'completed',
    category: [{ coding: [{ system: 'http://terminology.hl7.org/CodeSystem/communication-category', code: 'notification' }] }],
    subject: original.for as NonNullable<Communication['subject']>,
    about: [{ reference: `Task/${original.id}` }],
    recipient: [original.requester as Reference as NonNullable<Communication['recipient']>[number]],
    sender: { reference: device },
    sent: now.toISOString(),
    payload: [{ contentString: WORDS[outcome] }],
  };
  return {
    fullUrl: `urn:uuid:${randomUUID()}`,
    resource,
    request: { method: 'POST', url: 'Communication', ifNoneExist: byIdentifier(identifier) },
  };
}

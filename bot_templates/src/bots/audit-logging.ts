/**
 * Audit Logging Bot: writes AuditEvents for bots that run as their user, and for callers from outside.
 *
 * `$execute {eventType, action, outcome, patientId?, encounterId?, commandId?, practitionerId?, confidence?, prompt?,
 * response?, detail?}`, or `{events: […]}` with several of these.
 */
import type { BotEvent, MedplumClient } from '@medplum/core';
import { AUDIT_ACTIONS, AUDIT_OUTCOMES, AUDIT_TYPES, type AuditRecord, auditEvent } from '../lib/audit.ts';
import { BotFailure, type FailureOutput } from '../lib/failure.ts';
import { Fields } from '../lib/fields.ts';
import { fhirRequest } from '../lib/fhir.ts';
import { sha256 } from '../lib/hash.ts';
import { isUuid, parseReference } from '../lib/ids.ts';
import type { BotInput } from '../lib/input.ts';
import { CLINICAL_MODEL, runBot, type SuccessOutput } from '../lib/run.ts';

const BOT = {
  key: 'audit-logging',
  name: 'Audit Logging Bot',
  runsAsUser: false,
  unforeseen: 'AUDIT_UNAVAILABLE',
  failureAudit: 'audit_failure',
  model: CLINICAL_MODEL,
} as const;

const MOST_EVENTS = 20;
/** Longest prompt or response that is taken; its hash and length are stored, and its text only where that is set. */
const GREATEST_TEXT = 200_000;

export async function handler(
  medplum: MedplumClient,
  event: BotEvent<unknown>
): Promise<SuccessOutput | FailureOutput> {
  return runBot(BOT, medplum, event, async (run, input) => {
    const records = readRecords(input);
    const device = await run.device();
    const written = await Promise.all(
      records.map((record) =>
        fhirRequest('Writing an AuditEvent', 'AUDIT_UNAVAILABLE', (signal) =>
          medplum.createResource(auditEvent(run, record, device), { signal })
        )
      )
    );
    return { auditEventIds: written.map(({ id }) => id) };
  });
}

function readRecords(input: BotInput): AuditRecord[] {
  if (input.kind !== 'command') {
    throw new BotFailure('INVALID_INPUT', 'The input must be an event to write down, not a resource');
  }
  if (!('events' in input.fields)) {
    return [readRecord(new Fields(input.fields))];
  }
  const fields = new Fields(input.fields);
  const events = fields.present('events', fields.objects('events', MOST_EVENTS));
  fields.done();
  return events.map(readRecord);
}

/** The longest between an event and its writing: a bot's run, a call that is tried again, clocks that differ. */
const MOST_LATE_MS = 3_600_000;

/** Everything a caller says is a claim; who the caller is, the server attests. */
function readRecord(fields: Fields): AuditRecord {
  const described = readDescription(fields);
  const record: AuditRecord = {
    type: fields.present('eventType', fields.oneOf('eventType', AUDIT_TYPES)),
    action: fields.present('action', fields.oneOf('action', AUDIT_ACTIONS)),
    outcome: fields.present('outcome', readOutcome(fields)),
    outcomeDesc: described.codes,
    patientId: fields.id('patientId', 'Patient'),
    encounterId: fields.id('encounterId', 'Encounter'),
    resource: readReference(fields, 'resource'),
    commandId: readCommandId(fields),
    claimedPractitionerId: fields.id('practitionerId', 'Practitioner'),
    claimedBot: readReference(fields, 'claimedBot'),
    prompt: fields.text('prompt', GREATEST_TEXT),
    response: fields.text('response', GREATEST_TEXT),
    confidence: fields.number('confidence', 0, 1),
    ...readTime(fields, described.facts),
  };
  fields.done();
  return record;
}

type Facts = Record<string, string | number>;

/** Codes, ids, references, versions, hashes and lists of them: no white space, and nothing that is only in words. */
const MACHINE_WORD = /^[\w.:/|+,@#=-]{1,128}$/;

/** What an error is called, such as `SAFETY_BLOCKED: FORGED`; the message that may follow is anybody's text. */
const ERROR_CODES = /^[A-Z][A-Z0-9_]{1,63}(?:: [A-Z][A-Z0-9_]{1,63})*(?=:|$)/;

/** A caller's facts. A trail is read by people who may not read the record, so hash and length stand for a text. */
function readDetail(fields: Fields): Facts {
  const facts = Object.entries(fields.facts('detail', 20, 200) ?? {});
  return Object.fromEntries(
    facts.flatMap(([name, fact]) =>
      typeof fact === 'number' || MACHINE_WORD.test(fact) ? [[name, fact]] : Object.entries(standIn(name, fact))
    )
  );
}

/** An error's codes stay, by which it is found; its message goes, for it may quote what it is about. */
function readDescription(fields: Fields): { codes: string | undefined; facts: Facts } {
  const text = fields.text('outcomeDesc', 500);
  const codes = text === undefined ? undefined : ERROR_CODES.exec(text)?.[0];
  return { codes, facts: text === undefined || text === codes ? {} : standIn('outcome-desc', text) };
}

function standIn(name: string, text: string): Facts {
  return { [`${name}-sha256`]: sha256(text), [`${name}-length`]: text.length };
}

function readCommandId(fields: Fields): string | undefined {
  const id = fields.text('commandId', 128);
  if (id !== undefined && !MACHINE_WORD.test(id)) {
    throw new BotFailure('INVALID_INPUT', 'commandId must be an id, without white space', { field: 'commandId' });
  }
  return id;
}

/** When it happened, by the caller: a time that cannot be that of this call is noted as a claim, and changes none. */
function readTime(fields: Fields, more: Facts): Pick<AuditRecord, 'recorded' | 'detail'> {
  const claimed = fields.instant('recorded');
  const detail = { ...readDetail(fields), ...more };
  if (claimed === undefined) {
    return { detail };
  }
  const late = Math.abs(Date.now() - Date.parse(claimed)) > MOST_LATE_MS;
  return late ? { detail: { ...detail, 'claimed-recorded': claimed } } : { recorded: claimed, detail };
}

/** FHIR writes the outcome as a code; a number means the same. */
function readOutcome(fields: Fields): AuditRecord['outcome'] | undefined {
  const outcome = fields.oneOf('outcome', [...AUDIT_OUTCOMES, 0, 4, 8, 12]);
  return outcome === undefined ? undefined : (String(outcome) as AuditRecord['outcome']);
}

function readReference(fields: Fields, name: string): string | undefined {
  const text = fields.text(name, 128);
  if (text !== undefined && !isUuid(parseReference(text)?.id)) {
    throw new BotFailure('INVALID_INPUT', `${name} must be a reference, Type/id`, { field: name });
  }
  return text;
}


import type { AuditEvent, AuditEventAgent, AuditEventEntity, Coding } from '@medplum/fhirtypes';
import { sha256 } from './hash.ts';
import { parseReference } from './ids.ts';
import type { BotRun } from './run.ts';

/** What can happen, in the code system `NS/ai-audit-event`. */
export const AUDIT_TYPES = [
  'embedding_failure',
  'semantic_search',
  'rag_query',
  'decision_support',
  'documentation_draft',
  'billing_suggestion',
  'command_received',
  'command_queued',
  'command_executed',
  'command_blocked',
  'command_expired',
  'command_failed',
  'approval_granted',
  'approval_denied',
  'approval_refused',
  'llm_request',
  'llm_response',
  'phi_redaction',
  'audit_failure',
] as const;

export type AuditType = (typeof AUDIT_TYPES)[number];

export const AUDIT_ACTIONS = ['C', 'R', 'U', 'D', 'E'] as const;
export const AUDIT_OUTCOMES = ['0', '4', '8', '12'] as const;

/** One event of the audit trail. Nothing in it is text of a record, of a query or of a model. */
export interface AuditRecord {
  type: AuditType;
  action: (typeof AUDIT_ACTIONS)[number];
  /** 0 success, 4 minor, 8 serious, 12 major failure */
  outcome: (typeof AUDIT_OUTCOMES)[number];
  /** An error's code and message. */
  outcomeDesc?: string | undefined;
  patientId?: string | undefined;
  encounterId?: string | undefined;
  /** `Type/id` of what was worked on. */
  resource?: string | undefined;
  /** By this a command's whole trail is found: `AuditEvent?entity-name=…`. */
  commandId?: string | undefined;
  /** Whom the caller says it acts for; never the agent. */
  claimedPractitionerId?: string | undefined;
  /** `Bot/id` that says so, where another bot writes for it. */
  claimedBot?: string | undefined;
  /** When it happened, an instant; by default when it is written. */
  recorded?: string | undefined;
  /** What a model was asked and what it answered: patient data, so hash and length stand for it. */
  prompt?: string | undefined;
  response?: string | undefined;
  /** 0 to 1. */
  confidence?: number | undefined;
  /** Further facts: hashes, lengths, counts. */
  detail?: Record<string, string | number> | undefined;
}

const DCM = 'http://dicom.nema.org/resources/ontology/DCM';
const PARTICIPATION = 'http://terminology.hl7.org/CodeSystem/v3-ParticipationType';
const ENTITY_TYPE = 'http://terminology.hl7.org/CodeSystem/audit-entity-type';
const OBJECT_ROLE = 'http://terminology.hl7.org/CodeSystem/object-role';
const BALP_ENTITY_TYPE = 'https://profiles.ihe.net/ITI/BALP/CodeSystem/BasicAuditEntityType';

const PERSON = coding(ENTITY_TYPE, '1', 'Person');
const SYSTEM_OBJECT = coding(ENTITY_TYPE, '2', 'System Object');
const ROLE = {
  patient: coding(OBJECT_ROLE, '1', 'Patient'),
  domainResource: coding(OBJECT_ROLE, '4', 'Domain Resource'),
  job: coding(OBJECT_ROLE, '20', 'Job'),
} as const;

/**
 * The event as FHIR, by IHE BALP where it says how.
 * @param device - `Device/id` of the model that the bot speaks for; without one the bot itself is the application.
 */
export function auditEvent(run: BotRun, record: AuditRecord, device: string | undefined): AuditEvent {
  return {
    resourceType: 'AuditEvent',
    type: coding('http://terminology.hl7.org/CodeSystem/audit-event-type', 'rest', 'RESTful Operation'),
    subtype: [
      coding('http://hl7.org/fhir/restful-interaction', 'operation'),
      coding(`${run.namespace}/ai-audit-event`, record.type),
    ],
    action: record.action,
    recorded: record.recorded ?? new Date().toISOString(),
    outcome: record.outcome,
    ...(record.outcomeDesc === undefined ? {} : { outcomeDesc: record.outcomeDesc }),
    agent: agents(run, device),
    source: { observer: { reference: run.reference } },
    entity: entities(run, record),
  };
}

/** The application, and who asked for the run, as the server attests it. */
function agents(run: BotRun, device: string | undefined): AuditEventAgent[] {
  const application: AuditEventAgent = {
    type: { coding: [coding(DCM, '110150', 'Application')] },
    who: { reference: device ?? run.reference },
    name: run.bot.name,
    requestor: false,
  };
  const requester = run.event.requester?.reference;
  if (!parseReference(requester)) {
    return [{ ...application, requestor: true }];
  }
  return [
    application,
    {
      type: { coding: [coding(PARTICIPATION, 'IRCP', 'information recipient')] },
      who: { reference: requester as string },
      requestor: true,
    },
  ];
}

function entities(run: BotRun, record: AuditRecord): AuditEventEntity[] {
  const found: AuditEventEntity[] = [];
  if (record.patientId !== undefined) {
    found.push({ what: { reference: `Patient/${record.patientId}` }, type: PERSON, role: ROLE.patient });
  }
  for (const reference of [record.encounterId && `Encounter/${record.encounterId}`, record.resource]) {
    if (reference) {
      found.push({ what: { reference }, type: SYSTEM_OBJECT, role: ROLE.domainResource });
    }
  }
  if (record.commandId !== undefined) {
    found.push({ name: record.commandId, type: SYSTEM_OBJECT, role: ROLE.job });
  }
  // One search, `AuditEvent?entity=Bot/id`, finds what a bot did, whoever wrote it down.
  found.push({ what: { reference: record.claimedBot ?? run.reference }, type: SYSTEM_OBJECT });
  found.push({
    what: { identifier: { value: run.requestId } },
    type: coding(BALP_ENTITY_TYPE, 'XrequestId'),
    ...details(run, record),
  });
  return found;
}

function details(run: BotRun, record: AuditRecord): Pick<AuditEventEntity, 'detail'> {
  const facts = Object.entries({
    ...record.detail,
    ...textFacts(record, storesTexts(run)),
    ...(record.confidence === undefined ? {} : { confidence: record.confidence }),
    ...(record.claimedPractitionerId === undefined
      ? {}
      : { 'claimed-practitioner': `Practitioner/${record.claimedPractitionerId}` }),
    // A project admin may act for somebody else, and only a header tells.
    ...(run.onBehalfOf === undefined ? {} : { 'on-behalf-of': run.onBehalfOf }),
  });
  return facts.length === 0
    ? {}
    : { detail: facts.map(([type, value]) => ({ type, valueString: String(value) })) };
}

/** Whether the site wants prompts and responses in its AuditEvents, by a secret of the project. */
export function storesTexts(run: BotRun): boolean {
  return run.secrets.oneOf('AUDIT_STORE_PROMPTS', ['hash', 'full']) === 'full';
}

/** What is kept of a text where texts are kept at all, in bytes of UTF-8. */
const GREATEST_STORED = 10_000;

/** Hash and length of a prompt and a response, and the texts themselves only where they are wanted. */
export function textFacts(record: AuditRecord, withTexts: boolean): Record<string, string | number> {
  const facts: Record<string, string | number> = {};
  for (const name of ['prompt', 'response'] as const) {
    const text = record[name];
    if (text !== undefined) {
      facts[`${name}-sha256`] = sha256(text);
      facts[`${name}-length`] = text.length;
      if (withTexts) {
        facts[name] = startOf(text, GREATEST_STORED);
      }
    }
  }
  return facts;
}

/** As many whole characters of a text as fit into so many bytes of UTF-8. */
function startOf(text: string, bytes: number): string {
  const { read } = new TextEncoder().encodeInto(text, new Uint8Array(bytes));
  return text.slice(0, read);
}

function coding(system: string, code: string, display?: string): Coding {
  return { system, code, ...(display === undefined ? {} : { display }) };
}

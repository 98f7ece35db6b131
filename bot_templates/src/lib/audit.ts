import type { AuditEvent, AuditEventAgent, AuditEventEntity, Coding } from '@medplum/fhirtypes';
import { fhirRequest } from './fhir.ts';
import { parseReference } from './ids.ts';
import type { BotRun } from './run.ts';

/** What happened, in the code system `NS/ai-audit-event`. */
export type AuditType = 'embedding_failure' | 'semantic_search';

/** One event of the audit trail. */
export interface AuditRecord {
  type: AuditType;
  action: NonNullable<AuditEvent['action']>;
  /** 0 success, 4 minor, 8 serious, 12 major failure */
  outcome: NonNullable<AuditEvent['outcome']>;
  /** An error's code and message; never text of a record or of a query. */
  outcomeDesc?: string;
  patientId?: string | undefined;
  /** `Type/id` of what was worked on. */
  resource?: string | undefined;
  /** Further facts: hashes, lengths, counts. */
  detail?: Record<string, string | number>;
}

const DCM = 'http://dicom.nema.org/resources/ontology/DCM';
const ENTITY_TYPE = 'http://terminology.hl7.org/CodeSystem/audit-entity-type';
const OBJECT_ROLE = 'http://terminology.hl7.org/CodeSystem/object-role';
const BALP_ENTITY_TYPE = 'https://profiles.ihe.net/ITI/BALP/CodeSystem/BasicAuditEntityType';

/**
 * Writes an AuditEvent with the rights of the run.
 * @returns Whether it was written; what depends on it is the caller's to decide.
 */
export async function writeAudit(run: BotRun, record: AuditRecord): Promise<boolean> {
  try {
    await fhirRequest('Writing an AuditEvent', 'AUDIT_UNAVAILABLE', (signal) =>
      run.medplum.createResource(auditEvent(run, record), { signal })
    );
    return true;
  } catch (error) {
    run.log(`AUDIT_FAILED ${record.type} ${run.requestId}`);
    return false;
  }
}

/** The event as FHIR, by IHE BALP where it says how. */
export function auditEvent(run: BotRun, record: AuditRecord): AuditEvent {
  return {
    resourceType: 'AuditEvent',
    type: coding('http://terminology.hl7.org/CodeSystem/audit-event-type', 'rest', 'RESTful Operation'),
    subtype: [
      coding('http://hl7.org/fhir/restful-interaction', 'operation'),
      coding(`${run.namespace}/ai-audit-event`, record.type),
    ],
    action: record.action,
    recorded: new Date().toISOString(),
    outcome: record.outcome,
    ...(record.outcomeDesc === undefined ? {} : { outcomeDesc: record.outcomeDesc }),
    agent: agents(run),
    source: { observer: { reference: run.event.bot.reference ?? `Bot/${run.bot.key}` } },
    entity: entities(run, record),
  };
}

/** The bot, and who asked for the run, as the server attests it. */
function agents(run: BotRun): AuditEventAgent[] {
  const bot: AuditEventAgent = {
    type: { coding: [coding(DCM, '110150', 'Application')] },
    who: { reference: run.event.bot.reference ?? `Bot/${run.bot.key}` },
    name: run.bot.name,
    requestor: false,
  };
  const requester = run.event.requester?.reference;
  if (!parseReference(requester)) {
    return [{ ...bot, requestor: true }];
  }
  return [
    bot,
    {
      type: {
        coding: [coding('http://terminology.hl7.org/CodeSystem/v3-ParticipationType', 'IRCP', 'information recipient')],
      },
      who: { reference: requester as string },
      requestor: true,
    },
  ];
}

function entities(run: BotRun, record: AuditRecord): AuditEventEntity[] {
  const found: AuditEventEntity[] = [];
  if (record.patientId !== undefined) {
    found.push({
      what: { reference: `Patient/${record.patientId}` },
      type: coding(ENTITY_TYPE, '1', 'Person'),
      role: coding(OBJECT_ROLE, '1', 'Patient'),
    });
  }
  if (record.resource !== undefined) {
    found.push({
      what: { reference: record.resource },
      type: coding(ENTITY_TYPE, '2', 'System Object'),
      role: coding(OBJECT_ROLE, '4', 'Domain Resource'),
    });
  }
  // A project admin may act for somebody else, and only this header tells.
  const onBehalfOf = run.header('x-medplum-on-behalf-of');
  const facts = {
    ...record.detail,
    ...(onBehalfOf === undefined ? {} : { 'on-behalf-of': parseReference(onBehalfOf) ? onBehalfOf : 'unreadable' }),
  };
  found.push({
    what: { identifier: { value: run.requestId } },
    type: coding(BALP_ENTITY_TYPE, 'XrequestId'),
    ...(Object.keys(facts).length === 0
      ? {}
      : { detail: Object.entries(facts).map(([type, value]) => ({ type, valueString: String(value) })) }),
  });
  return found;
}

function coding(system: string, code: string, display?: string): Coding {
  return { system, code, ...(display === undefined ? {} : { display }) };
}
